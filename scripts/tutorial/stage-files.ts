/** The files of a stage: as its exercise starts, and as its solution has them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { leavingOut, withoutRegions } from "./regions.ts";
import { CHAPTER, solutionOf, stageBefore, type Stage } from "./stages.ts";

/** Texts by the file's name. */
export type Files = ReadonlyMap<string, string>;

/**
 * @param left name of a region that is left out of those that have it. @default none
 * @returns the solution's files, without the lines that mark regions
 */
export function solutionFiles(stage: Stage, left?: string): Files {
  return filesOf(solutionOf(stage), left);
}

/**
 * What the reader begins a stage with: the last solution, and over it what the stage brings along.
 * The first stage has nothing before it, and nothing to do: it begins as its own solution.
 * @param left name of a region that is left out of those that have it. @default none
 */
export function startFiles(stage: Stage, left?: string): Files {
  const before = stageBefore(stage);
  const files = solutionFiles(before ?? stage, left);
  if (stage.overlay === undefined) return files;
  return new Map([...files, ...filesOf(join(CHAPTER, "stages", stage.overlay), left)]);
}

/** @returns a folder's files as they are */
export function rawFiles(folder: string): Files {
  const names = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .sort();
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}

function filesOf(folder: string, left?: string): Files {
  const shown = (text: string) => (left === undefined ? text : leavingOut(text, left));
  return new Map([...rawFiles(folder)].map(([name, text]) => [name, withoutRegions(shown(text))]));
}
