/** Paths that are named in prose and that are not there. */
import { posix } from "node:path";
import { missingLine } from "./links.ts";
import type { Repository } from "./repository.ts";

/** A file, or a path of at least two parts; with a line behind it or without: "lib/kafka/topics.ts:12". */
const PATH =
  /^(?:\.{1,2}\/)?([\w@.*-]+(?:\/[\w@.*-]+)+\/?|[\w@.*-]+\.\w+)(?::(\d+)|#L(\d+)(?:-L(\d+))?)?$/;
/** Ends of names that the repository's own files have, and hardly anything else. */
const OWN_FILE = /\.(?:ts|mjs|sql|md|ya?ml|toml|sh)$/;
/** What readers and tools make, and what stands for something else. */
const NOT_OURS = /^(?:node_modules|dist)\/|^\.|\bNN\b/;

/**
 * @param page path of the page that names it
 * @param text of code in a line
 * @returns what is wrong; undefined where the text is no path, or one that is there
 */
export function brokenPath(page: string, text: string, repository: Repository): string | undefined {
  const [, written, line, first, last] = PATH.exec(text) ?? [];
  if (written === undefined || NOT_OURS.test(written)) return undefined;
  const path = written.replace(/\/$/, "");
  const found = findPath(page, path, repository);
  if (found === undefined) {
    // From where the reader is, which may be a project of their own.
    if (text.startsWith(".")) return undefined;
    const isOurs = OWN_FILE.test(path) || topFolders(repository).has(path.split("/")[0] ?? "");
    return isOurs ? `\`${text}\`: there is no ${path}` : undefined;
  }
  const firstLine = Number(line ?? first);
  if (!firstLine || !repository.files.has(found)) return undefined;
  return missingLine(found, firstLine, Number(last ?? firstLine), repository);
}

/** @returns the path from the root of what a page calls so: from the root, from its folder, or by its end */
function findPath(page: string, path: string, repository: Repository): string | undefined {
  const isThere = (full: string) => repository.files.has(full) || repository.folders.has(full);
  const beside = posix.join(posix.dirname(page), path);
  if (isThere(path)) return path;
  if (isThere(beside)) return beside;
  const all = [...repository.files, ...repository.folders];
  if (path.includes("*")) {
    const patterns = [path, `**/${path}`].map((pattern) => new Bun.Glob(pattern));
    return all.find((full) => patterns.some((pattern) => pattern.match(full)));
  }
  return all.find((full) => full.endsWith(`/${path}`));
}

function topFolders(repository: Repository): Set<string> {
  return new Set([...repository.folders].filter((folder) => folder && !folder.includes("/")));
}
