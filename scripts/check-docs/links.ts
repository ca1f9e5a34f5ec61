/** Links that lead nowhere: to files, headings and lines that are not there. */
import { parseMarkdown, type MarkdownPage } from "./markdown-page.ts";
import type { Repository } from "./repository.ts";
import { isElsewhere, targetOf } from "./target.ts";

const LINES = /^L(\d+)(?:-L(\d+))?$/;

/**
 * @param path of the page from the root
 * @param url of a link on it
 * @param pageOf the parsed page of a path; given so that each is parsed once
 * @returns what is wrong with it; undefined for a good link, and for every link to another site
 */
export function brokenLink(
  path: string,
  url: string,
  repository: Repository,
  pageOf: (path: string) => MarkdownPage = (page) => parseMarkdown(repository.read(page)),
): string | undefined {
  if (isElsewhere(url)) return undefined;
  const target = targetOf(path, url);
  if (!target) return `${url} leads out of the repository`;
  if (!repository.files.has(target.path)) {
    if (!repository.folders.has(target.path)) return `${url}: there is no ${target.path}`;
    return target.anchor ? `${url}: a folder has no #${target.anchor}` : undefined;
  }
  if (!target.anchor) return undefined;
  if (target.path.endsWith(".md")) {
    if (pageOf(target.path).anchors.has(target.anchor)) return undefined;
    return `${url}: ${target.path} has no heading #${target.anchor}`;
  }
  const [, first, last = first] = LINES.exec(target.anchor) ?? [];
  if (first === undefined) return `${url}: #${target.anchor} names no line`;
  return missingLine(target.path, Number(first), Number(last), repository);
}

/** @returns what is wrong with lines that are named; undefined where the file has them */
export function missingLine(
  path: string,
  first: number,
  last: number,
  repository: Repository,
): string | undefined {
  const lines = repository.read(path).replace(/\n$/, "").split("\n").length;
  if (first >= 1 && first <= last && last <= lines) return undefined;
  return `${path} has ${lines} lines, not ${first === last ? first : `${first} to ${last}`}`;
}
