/**
 * Experiments that a page shows: a stage's solution, changed where need be, something done to it, and what
 * came of that. scripts/tutorial/experiments/NN.ts exports those of a stage as `experiments`, by their names.
 */
import { copyFileSync, existsSync } from "node:fs";
import { basename, join } from "node:path";
import { readLines } from "#lib/embedded/bun-process.ts";
import { renderWaterfall } from "../../shared/waterfall.ts";
import { LatestLines, LINE_CHARS_MAX } from "../system/lines.ts";
import { applyEdits, type Edit } from "../mistakes/mistake.ts";
import type { Parts } from "../parts.ts";
import { quiet } from "../quiet.ts";
import { createScratch } from "../scratch.ts";
import { solutionFiles } from "../stage-files.ts";
import { ROOT, type Stage } from "../stages.ts";
import { startSystem, type System, type SystemOptions } from "../system/index.ts";

/** One of them. */
export interface Experiment {
  /** What it shows, in one sentence. */
  readonly about: string;
  /** Changes of the solution. @default none */
  readonly edits?: readonly Edit[];
  /** Put beside the solution's files: paths from the root. @default none */
  readonly files?: readonly string[];
  /**
   * A script that needs nothing of the stage, by its path from the root: run there, as the reader may.
   * @default none
   */
  readonly script?: string;
  /** A command without which it is not run, and what is shown of it stays as it is. @default none */
  readonly needs?: string;
  /** @default the script; else one order, and its traces */
  readonly run?: (bench: Bench) => Promise<void>;
}

/** What an experiment has at hand. What it starts ends with it. */
export interface Bench {
  /** With the solution as the experiment changed it. */
  readonly folder: string;
  readonly stage: Stage;
  /** For what is passed an AbortSignal. */
  readonly signal: AbortSignal;
  /** Shows a text, over as many lines as it has. */
  say(text: string): void;
  /** Starts the stage's programs. */
  system(options?: Pick<SystemOptions, "programs" | "env">): Promise<System>;
  /**
   * Draws the traces of all spans that have come, in the order of their starts; "no trace" where none has.
   * @param condition that the spans satisfy when all are there; they are waited for 4 s at most. @default
   *   that there are some, and for half a second no more
   */
  showTraces(system: System, condition?: Parameters<System["spansWhen"]>[0]): Promise<void>;
  /**
   * Runs a command in the folder, and shows it and what it writes, 200 lines at most.
   * @param env all that it has in its environment, beside PATH, HOME and TMPDIR
   * @returns its exit status; null where it had to be killed after 20 s
   */
  command(argv: readonly string[], env?: Readonly<Record<string, string>>): Promise<number | null>;
}

/** How wide traces are drawn on a page, in columns. */
export const PAGE_COLUMNS = 100;

const COMMAND_TIMEOUT_MS = 20_000;
const COMMAND_LINES_MAX = 200;
const EXPERIMENT_TIMEOUT_MS = 120_000;
const TRACES_TIMEOUT_MS = 4_000;

/**
 * Runs an experiment.
 * @returns what it showed
 * @throws what the experiment throws; nothing of it runs on then
 */
export async function runExperiment(
  experiment: Experiment,
  stage: Stage,
  parts: Parts,
  given?: AbortSignal,
): Promise<string> {
  const late = AbortSignal.timeout(EXPERIMENT_TIMEOUT_MS);
  const signal = AbortSignal.any([late, ...(given ? [given] : [])]);
  await using undo = new AsyncDisposableStack();
  const { folder } = undo.use(createScratch(solutionFiles(stage)));
  for (const file of experiment.files ?? []) {
    copyFileSync(join(ROOT, file), join(folder, basename(file)));
  }
  applyEdits(folder, experiment.edits ?? []);

  const shown: string[] = [];
  const say = (text: string) => void shown.push(text.trimEnd());
  const runScript = async (path: string) => {
    const status = await runCommand({ argv: ["bun", path], env: {}, folder: ROOT, signal, say });
    if (status !== 0) throw new Error(`it ended with ${status}:\n${shown.join("\n")}`);
  };
  const { script } = experiment;
  const run = experiment.run ?? (script === undefined ? showOneOrder : () => runScript(script));
  await run({
    folder,
    stage,
    signal,
    say,
    system: async (options) =>
      undo.use(await startSystem({ ...options, folder, stage, parts, forward: false, signal })),
    showTraces: async (system, condition) => say(await drawnTraces(system, condition)),
    command: async (argv, env) => await runCommand({ argv, env, folder, signal, say }),
  });
  return shown.join("\n");
}

/** @throws Error where the stage has no experiment of that name */
export async function loadExperiment(stage: Stage, name: string): Promise<Experiment> {
  const file = join(import.meta.dir, `${stage.id}.ts`);
  const { experiments = {} } = existsSync(file)
    ? ((await import(file)) as { experiments?: Readonly<Record<string, Experiment>> })
    : {};
  const experiment = Object.hasOwn(experiments, name) ? experiments[name] : undefined;
  if (experiment) return experiment;
  const names = Object.keys(experiments).join(", ") || "none";
  throw new Error(`stage ${stage.id} has no experiment ${name}; there are: ${names}`);
}

async function showOneOrder(bench: Bench): Promise<void> {
  const system = await bench.system();
  await system.placeOrder();
  await bench.showTraces(system);
}

async function drawnTraces(
  system: System,
  condition: Parameters<System["spansWhen"]>[0] = quiet(),
): Promise<string> {
  await system.spansWhen(condition, TRACES_TIMEOUT_MS);
  const options = { widthColumns: PAGE_COLUMNS, color: false };
  const drawn = system.traces().map((trace) => renderWaterfall(trace, options));
  return drawn.length === 0 ? "no trace" : drawn.join("\n");
}

interface Command {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>> | undefined;
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

async function runCommand({ argv, env, folder, signal, say }: Command): Promise<number | null> {
  say(`$ ${argv.join(" ")}`);
  const [name = "", ...args] = argv;
  const { PATH = "", HOME = "", TMPDIR } = process.env;
  const child = Bun.spawn(
    // This very Bun, whichever is first on the path; and where we go away, it goes as well.
    name === "bun" ? [process.execPath, "--no-orphans", ...args] : [name, ...args],
    {
      cwd: folder,
      env: { PATH, HOME, ...(TMPDIR !== undefined && { TMPDIR }), ...env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      signal: AbortSignal.any([signal, AbortSignal.timeout(COMMAND_TIMEOUT_MS)]),
      killSignal: "SIGKILL",
    },
  );
  const lines = new LatestLines();
  const onLine = (line: string) => lines.add(line);
  const streams = [child.stdout, child.stderr];
  await Promise.all(streams.map((stream) => readLines(stream, onLine, LINE_CHARS_MAX)));
  await child.exited;
  signal.throwIfAborted();
  const all = lines.all();
  say(all.slice(0, COMMAND_LINES_MAX).join("\n"));
  if (all.length > COMMAND_LINES_MAX) say(`… ${all.length - COMMAND_LINES_MAX} more lines`);
  return child.exitCode;
}
