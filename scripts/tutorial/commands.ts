/** What each word of `bun run tutorial` does. */
import { existsSync } from "node:fs";
import { relative } from "node:path";
import { UsageError } from "../shared/command-line.ts";
import { interruption } from "../shared/interruption.ts";
import { terminal } from "../shared/terminal.ts";
import { loadCheck, runCheck } from "./check/index.ts";
import { filesDiff } from "./file-diff.ts";
import { pageOf, stageList } from "./list.ts";
import { runningParts, stopParts, useParts, type Parts } from "./parts.ts";
import { digestOf, rememberPassed, takeHint } from "./progress.ts";
import { layOut, readerFiles, readerFolder } from "./reader-files.ts";
import { runStage } from "./run-stage.ts";
import { solutionFiles, startFiles } from "./stage-files.ts";
import { solutionOf, stageOf, type Stage } from "./stages.ts";
import { ReaderError } from "./system/index.ts";

/** Something is in the way, and the message says what to do. */
export class Refusal extends Error {}

/** What may follow a command's words. */
export interface Flags {
  readonly mine: boolean;
  readonly stay: boolean;
  readonly solution: boolean;
}

/** Exit statuses, beside 0. */
export const STATUS = { notDone: 1, usage: 2, broke: 3 } as const;

const HINTS = ["first", "second", "third"] as const;

/**
 * Does what the words say.
 * @returns the exit status
 * @throws UsageError where they make no command, or a flag has nothing to do with it; Refusal;
 *   ReaderError; Interrupted
 */
export async function obey(words: readonly string[], flags: Flags): Promise<number> {
  const { run, allowed } = commandIn(words);
  for (const [name, isOn] of Object.entries(flags)) {
    if (isOn && !allowed.includes(name)) throw new UsageError(`what is --${name} to do here?`);
  }
  return (await run(flags)) ?? 0;
}

interface Command {
  readonly allowed: readonly string[];
  /** @returns the exit status, where it is not 0 */
  readonly run: (flags: Flags) => Promise<number | void>;
}

function commandIn([word, ...more]: readonly string[]): Command {
  if (word === undefined) return { allowed: [], run: list };
  if (word === "stop" && more.length === 0) return { allowed: [], run: stop };
  const [id, ...others] = WITH_STAGE.has(word) ? more : [word, ...more];
  if (others.length > 0) throw new UsageError(`what is ${others.join(" ")}?`);
  if (id === undefined) throw new UsageError(`${word} what? It takes a stage`);
  const stage = stageOf(id) ?? stageOf(id.padStart(2, "0"));
  if (!stage) throw new UsageError(`there is no stage ${id}`);
  switch (word) {
    case "start":
      return { allowed: [], run: async () => start(stage) };
    case "check":
      return { allowed: ["solution"], run: (flags) => check(stage, flags) };
    case "hint":
      return { allowed: [], run: () => hint(stage) };
    case "diff":
      return { allowed: ["mine"], run: async (flags) => diff(stage, flags) };
    default:
      return { allowed: ["mine", "stay"], run: (flags) => run(stage, flags) };
  }
}

const WITH_STAGE = new Set(["start", "check", "hint", "diff"]);

async function list(): Promise<void> {
  say(await stageList());
}

async function run(stage: Stage, { mine, stay }: Flags): Promise<void> {
  const signal = interruption(() => {});
  const folder = mine ? ownFolder(stage) : solutionOf(stage);
  const parts = await warmParts(signal);
  try {
    await runStage({ folder, stage, parts, stay, say, signal, waterfall: terminal() });
  } catch (error) {
    // With the reader's files that is for the reader to mend.
    if (mine || !(error instanceof ReaderError)) throw error;
    throw new Error("the solution does not run", { cause: error });
  }
}

function start(stage: Stage): void {
  const folder = shown(readerFolder(stage));
  if (!layOut(stage)) {
    throw new Refusal(`${folder} is there already, and is left as it is; remove it to start anew`);
  }
  say(`The exercise of stage ${stage.id}, ${stage.title}, is in ${folder}.`);
  say(`Read ${pageOf(stage)}; when you are done: \`bun run tutorial check ${stage.id}\`.`);
}

async function check(stage: Stage, { solution }: Flags): Promise<number> {
  const signal = interruption(() => {});
  const folder = solution ? solutionOf(stage) : ownFolder(stage);
  const digest = solution ? undefined : digestOf(stage);
  const parts = await warmParts(signal);
  const outcome = await runCheck({ folder, stage, parts, say, signal });
  if (outcome === "passed" && digest !== undefined) rememberPassed(stage, digest);
  return outcome === "passed" ? 0 : outcome === "broke" ? STATUS.broke : STATUS.notDone;
}

async function hint(stage: Stage): Promise<void> {
  ownFolder(stage);
  const { hints } = await loadCheck(stage);
  const count = takeHint(stage);
  const text = hints[count];
  if (text !== undefined) say(`The ${HINTS[count]} of three: ${text}`);
  else {
    say("There are no more hints. From your files to the solution:\n");
    diff(stage, { mine: true });
  }
}

function diff(stage: Stage, { mine }: Pick<Flags, "mine">): void {
  if (mine) ownFolder(stage);
  const before = mine ? readerFiles(stage) : startFiles(stage);
  const text = filesDiff(before, solutionFiles(stage), terminal().color);
  say(text || (mine ? "yours is the solution, to the letter" : "this stage changes no file"));
}

/** Says so where they are not warm yet: that takes a moment. */
async function warmParts(signal: AbortSignal): Promise<Parts> {
  if (!(await runningParts())) process.stderr.write("starting PostgreSQL and the viewer …\n");
  return await useParts(signal);
}

async function stop(): Promise<void> {
  say((await stopParts()) ? "PostgreSQL and the viewer have ended" : "nothing is running");
}

/** @throws Refusal where the reader has not begun the stage */
function ownFolder(stage: Stage): string {
  const folder = readerFolder(stage);
  if (existsSync(folder)) return folder;
  throw new Refusal(
    `there are no files of yours for stage ${stage.id} yet: \`bun run tutorial start ${stage.id}\``,
  );
}

function shown(folder: string): string {
  const path = relative(process.cwd(), folder);
  return path.startsWith("..") ? folder : path;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
