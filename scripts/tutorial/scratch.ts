/** A folder in which a stage's files can be changed and run, for as long as it is needed. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Files } from "./stage-files.ts";
import { ROOT } from "./stages.ts";

/** Inside the checkout, where programs find the packages and `#lib`. */
const SCRATCH = join(ROOT, ".orderflow/tutorial-scratch");
/** Nothing runs that long: a folder this old was left by a process that was killed. */
const AGE_MAX_MS = 3_600_000;

/** See {@link createScratch}. */
export interface Scratch extends Disposable {
  readonly folder: string;
}

/** Writes the files into a folder of their own, which is removed with what it then has in it. */
export function createScratch(files: Files): Scratch {
  mkdirSync(SCRATCH, { recursive: true });
  removeOld();
  const folder = mkdtempSync(join(SCRATCH, "run-"));
  for (const [name, text] of files) writeFileSync(join(folder, name), text);
  return { folder, [Symbol.dispose]: () => remove(folder) };
}

function removeOld(): void {
  const oldMs = Date.now() - AGE_MAX_MS;
  for (const name of readdirSync(SCRATCH)) {
    const folder = join(SCRATCH, name);
    // Another process may be removing it as well.
    const { mtimeMs } = statSync(folder, { throwIfNoEntry: false }) ?? { mtimeMs: Infinity };
    if (mtimeMs < oldMs) remove(folder);
  }
}

function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
