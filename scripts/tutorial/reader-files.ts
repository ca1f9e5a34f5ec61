/** The reader's own folder of a stage. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startFiles, type Files } from "./stage-files.ts";
import { workspace, type Stage } from "./stages.ts";

/** @returns where a stage's exercise is, or would be */
export function readerFolder({ id }: Stage): string {
  return join(workspace(), id);
}

/**
 * Lays a stage's exercise out.
 * @returns false where something is there: it is left as it is
 */
export function layOut(stage: Stage): boolean {
  const folder = readerFolder(stage);
  if (existsSync(folder)) return false;
  mkdirSync(folder, { recursive: true });
  // "wx": not even a file that came this moment is written over.
  for (const [name, text] of startFiles(stage)) {
    writeFileSync(join(folder, name), text, { flag: "wx" });
  }
  return true;
}

/** @returns the programs and the schema that are there now, by their names */
export function readerFiles(stage: Stage): Files {
  const folder = readerFolder(stage);
  const names = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(?:ts|sql)$/.test(entry.name))
    .map(({ name }) => name)
    .sort();
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}
