/** Mistakes that a page tells of: made on purpose by tests, which see the check say what the page says. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Stage } from "../stages.ts";

/** A change of a text. */
export interface Edit {
  readonly file: string;
  /** Has to be in the file exactly once: else it would change something else one day, or nothing. */
  readonly find: string;
  readonly replace: string;
}

/** What a check says of files that do not keep its promises. */
export interface Complaint {
  /** The title of the check's item that fails. */
  readonly failing: string;
  /** In what it saw or expected, or in what a program that does not run wrote. */
  readonly says: RegExp;
}

/** A mistake in a stage's solution. */
export interface Mistake extends Complaint {
  /** "no-inject": as `recorded: 04 --check no-inject` names it. */
  readonly name: string;
  /** What is wrong, in one sentence. */
  readonly about: string;
  readonly edits: readonly Edit[];
}

/** What scripts/tutorial/mistakes/NN.ts exports. */
export interface StageMistakes {
  /** What the check says of the exercise as it is laid out; undefined where there is nothing to do. */
  readonly bare: Complaint | undefined;
  readonly mistakes: readonly Mistake[];
}

/**
 * Changes files, one edit after another.
 * @throws Error where an edit's text is not there exactly once
 */
export function applyEdits(folder: string, edits: readonly Edit[]): void {
  for (const { file, find, replace } of edits) {
    const path = join(folder, file);
    const parts = readFileSync(path, "utf8").split(find);
    if (find === "" || parts.length !== 2) {
      throw new Error(`${file} has this ${parts.length - 1} times, and not once: ${find}`);
    }
    writeFileSync(path, parts.join(replace));
  }
}

/** @throws Error where the stage has no file of mistakes */
export async function loadMistakes(stage: Stage): Promise<StageMistakes> {
  const file = join(import.meta.dir, `${stage.id}.ts`);
  if (!existsSync(file)) throw new Error(`stage ${stage.id} has no mistakes`);
  return (await import(file)) as StageMistakes;
}

/** @returns the edits of a stage's mistake. @throws Error where it has none of that name */
export function editsOf(mistakes: StageMistakes["mistakes"], name: string): readonly Edit[] {
  const mistake = mistakes.find((mistake) => mistake.name === name);
  if (mistake) return mistake.edits;
  const names = mistakes.map(({ name }) => name).join(", ");
  throw new Error(`there is no mistake ${name}; there are: ${names}`);
}
