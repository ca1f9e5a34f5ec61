/** Differences as a page shows them: what a stage changes in a file, and what the layer has beyond it. */
import { structuredPatch } from "diff";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { solutionFiles, startFiles } from "../stage-files.ts";
import { ROOT, stageOf, type Stage } from "../stages.ts";
import { fenced } from "./block.ts";

const CONTEXT_LINES = 3;

/**
 * @param what `02 orders.ts`: what the stage changes in the file that the reader comes with. `05 orders.ts
 * without list`: no more than what it changes outside the region of that name, in either version. `10 lib:
 * http-server.ts /lib/telemetry/http/server.ts`: from the file that the reader comes with to one of the root.
 * @returns Markdown
 * @throws Error where there is no such stage or file, or nothing changes
 */
export function stageDiff(what: string): string {
  const [id = "", ...rest] = what.split(/\s+/);
  const stage = stageOf(id);
  if (!stage) throw new Error(`there is no stage ${id}`);
  if (rest[0] === "lib:") {
    const [, file = "", path = ""] = rest;
    const own = startFiles(stage).get(file);
    if (own === undefined) throw new Error(`stage ${id} does not start with ${file}`);
    return fencedDiff(own, fromRoot(path));
  }
  const [file = "", word, left, ...more] = rest;
  if ((word !== undefined && (word !== "without" || left === undefined)) || more.length > 0) {
    throw new Error(`what is ${rest.slice(1).join(" ")}?`);
  }
  const { before, after } = versionsOf(stage, file, left);
  return fencedDiff(before, after);
}

/** @returns the hunks of a unified diff, without the lines that name files; "" where nothing differs */
export function hunksOf(before: string, after: string): string {
  const { hunks } = structuredPatch("", "", before, after, "", "", { context: CONTEXT_LINES });
  return hunks
    .flatMap(({ oldStart, oldLines, newStart, newLines, lines }) => [
      `@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`,
      // A blank line that is the same in both: a blank behind nothing would not outlive every editor.
      ...lines.map((line) => line.trimEnd()),
    ])
    .join("\n");
}

function versionsOf(stage: Stage, file: string, left: string | undefined) {
  const before = startFiles(stage, left).get(file);
  const after = solutionFiles(stage, left).get(file);
  if (before === undefined && after === undefined) {
    throw new Error(`stage ${stage.id} has no file ${file}`);
  }
  return { before: before ?? "", after: after ?? "" };
}

function fromRoot(path: string): string {
  if (!path.startsWith("/") || !existsSync(join(ROOT, path))) {
    throw new Error(`there is no file ${path}`);
  }
  return readFileSync(join(ROOT, path), "utf8");
}

function fencedDiff(before: string, after: string): string {
  const hunks = hunksOf(before, after);
  if (hunks === "") throw new Error("nothing differs");
  return fenced("diff", hunks);
}
