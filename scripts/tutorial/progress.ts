/** How far the reader is: which stages they have begun, whose check has passed, and which hints they had. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readerFiles, readerFolder } from "./reader-files.ts";
import { workspace, type Stage } from "./stages.ts";

/** What is remembered of a stage. */
interface StageProgress {
  /** Of the files whose check passed. */
  readonly passed?: string;
  readonly hints?: number;
}

/** Where the reader stands in a stage. */
export type Standing = "not begun" | "begun" | "done" | "done, then changed";

/** @returns what the list says of it */
export function standingIn(stage: Stage): Standing {
  if (!existsSync(readerFolder(stage))) return "not begun";
  const { passed } = progressOf(stage);
  if (passed === undefined) return "begun";
  return passed === digestOf(stage) ? "done" : "done, then changed";
}

/** @param passed {@link digestOf} the files, from before they were judged: meanwhile they may have changed */
export function rememberPassed(stage: Stage, passed: string): void {
  remember(stage, { ...progressOf(stage), passed });
}

/** @returns how many hints came before; the one that is given now is counted */
export function takeHint(stage: Stage): number {
  const { hints = 0 } = progressOf(stage);
  remember(stage, { ...progressOf(stage), hints: hints + 1 });
  return hints;
}

function progressOf({ id }: Stage): StageProgress {
  return read()[id] ?? {};
}

function remember({ id }: Stage, progress: StageProgress): void {
  const temporary = `${file()}.${process.pid}`;
  mkdirSync(workspace(), { recursive: true });
  writeFileSync(temporary, JSON.stringify({ ...read(), [id]: progress }, null, 2));
  renameSync(temporary, file());
}

/** What is not there, or no longer to be read, is as if the reader had just come. */
function read(): Record<string, StageProgress> {
  try {
    const all: unknown = JSON.parse(readFileSync(file(), "utf8"));
    return typeof all === "object" && all !== null ? (all as Record<string, StageProgress>) : {};
  } catch {
    return {};
  }
}

function file(): string {
  return join(workspace(), "progress.json");
}

/** @returns what tells whether the reader's files have changed */
export function digestOf(stage: Stage): string {
  return Bun.hash(JSON.stringify([...readerFiles(stage)])).toString(16);
}
