/** A page of the chapter with its blocks filled: listings and differences from the files, recordings by runs. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { CHAPTER } from "../stages.ts";
import { blocksOf, codeIn, fenced, PageError, withContents, type Block } from "./block.ts";
import { listing } from "./listing.ts";
import { shapeOf } from "./shape.ts";
import { stageDiff } from "./stage-diff.ts";

/** Runs what a block shows. @returns what it printed; undefined where it is not to be run now */
export type Recorder = (what: string) => Promise<string | undefined>;

/** @returns the names of the chapter's pages */
export function pageNames(): string[] {
  return readdirSync(CHAPTER)
    .filter((name) => name.endsWith(".md"))
    .sort();
}

/** @returns the path of a page */
export function pagePath(page: string): string {
  return join(CHAPTER, page);
}

/**
 * @param text of the page
 * @param record without it recordings stay as they are
 * @returns the page as it should be. A recording stays where a new one has the same shape: another id is no news.
 * @throws PageError where a block cannot be filled
 */
export async function withGenerated(
  text: string,
  page: string,
  record: Recorder = async () => undefined,
): Promise<string> {
  return await withContents(text, page, async ({ kind, what, content }) => {
    if (kind === "listing") return listing(what);
    if (kind === "diff") return stageDiff(what);
    const printed = await record(what);
    if (printed === undefined) return content;
    const before = codeIn(content);
    const isSame = before !== undefined && shapeOf(before) === shapeOf(printed);
    return isSame ? content : fenced("text", printed);
  });
}

/** @returns the page's recordings. @throws PageError where one has not been made yet */
export function recordingsOf(text: string, page: string): Block[] {
  const recordings = blocksOf(text, page).filter(({ kind }) => kind === "recorded");
  const empty = recordings.find(({ content }) => codeIn(content) === undefined);
  if (empty) throw new PageError(page, empty.line, `${empty.what} has not been recorded yet`);
  return recordings;
}
