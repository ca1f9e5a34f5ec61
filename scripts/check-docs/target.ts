/** Where a link of a page leads. */
import { posix } from "node:path";

export interface Target {
  /** From the root of the repository, without a "/" at its end; the root is "". */
  readonly path: string;
  /** What stands behind "#", decoded; "" where nothing does. */
  readonly anchor: string;
}

const SCHEME = /^(?:[a-z][a-z0-9+.-]*:|\/\/)/i;

/**
 * @param page path of the page from the root
 * @param url as it is written there
 * @returns undefined for what leads out of the repository: another site, or above the root
 */
export function targetOf(page: string, url: string): Target | undefined {
  if (SCHEME.test(url)) return undefined;
  const hashAt = url.indexOf("#");
  const written = decoded(hashAt < 0 ? url : url.slice(0, hashAt)).replace(/\?.*$/, "");
  const anchor = hashAt < 0 ? "" : decoded(url.slice(hashAt + 1));
  if (written === "") return { path: page, anchor };
  const joined = written.startsWith("/")
    ? written.slice(1)
    : posix.join(posix.dirname(page), written);
  const path = posix.normalize(joined).replace(/\/$/, "");
  if (path === ".." || path.startsWith("../")) return undefined;
  return { path: path === "." ? "" : path, anchor };
}

/** @returns whether a link names another site, or something that is no page */
export function isElsewhere(url: string): boolean {
  return SCHEME.test(url);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
