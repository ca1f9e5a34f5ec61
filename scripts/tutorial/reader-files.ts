/** The reader's own folder of a stage. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
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
  const files = startFiles(stage);
  mkdirSync(dirname(folder), { recursive: true });
  try {
    // Fails where anything is there, be it of this moment: from here on the folder is ours.
    mkdirSync(folder);
  } catch (error) {
    if ((error as { code?: unknown }).code === "EEXIST") return false;
    throw error;
  }
  try {
    for (const [name, text] of files) writeFileSync(join(folder, name), text, { flag: "wx" });
  } catch (error) {
    // Half of an exercise would be taken for a whole one.
    rmSync(folder, { recursive: true, force: true });
    throw error;
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
