/** Recordings: what a command of the chapter prints, as it is shown on a page. */
import { relative } from "node:path";
import { forPeople } from "../../shared/terminal.ts";
import { runCheck } from "../check/index.ts";
import { loadExperiment, PAGE_COLUMNS, runExperiment } from "../experiments/experiment.ts";
import { applyEdits, editsOf, loadMistakes } from "../mistakes/mistake.ts";
import { USUAL_PORTS, type Parts } from "../parts.ts";
import { runStage } from "../run-stage.ts";
import { createScratch } from "../scratch.ts";
import { solutionFiles, startFiles } from "../stage-files.ts";
import { ROOT, solutionOf, stageOf, type Stage } from "../stages.ts";
import type { Recorder } from "./page.ts";

const VIEWER = `http://localhost:${USUAL_PORTS.queryPort}`;
const RUN_TIMEOUT_MS = 120_000;
const FORMS = "a run is NN, NN --experiment, NN --check, NN --check bare or NN --check mistake";

/**
 * Runs what a block names:
 *
 * - `03`: `bun run tutorial 03`
 * - `03 --name`: an experiment of the stage
 * - `03 --check`: `bun run tutorial check 03` where all is done; `03 --check bare` where nothing is, and
 *   `03 --check name` where a mistake was made
 * @param onRun told of what is run; nothing is run twice
 * @returns the recorder; it throws where there is no such thing, or the run fails, and gives undefined where
 *   what an experiment needs is not on this machine
 */
export function createRecorder(
  parts: Parts,
  signal?: AbortSignal,
  onRun: (what: string) => void = () => {},
): Recorder {
  const made = new Map<string, Promise<string | undefined>>();
  return async (what) => {
    const known = made.get(what);
    if (known) return await known;
    onRun(what);
    const printed = run(what, parts, signal);
    made.set(what, printed);
    return await printed;
  };
}

async function run(what: string, parts: Parts, signal?: AbortSignal): Promise<string | undefined> {
  const [id = "", flag, name, ...rest] = what.split(/\s+/);
  const stage = stageOf(id);
  if (!stage) throw new Error(`there is no stage ${id}; ${FORMS}`);
  if (rest.length > 0) throw new Error(`what is ${rest.join(" ")}? ${FORMS}`);
  if (flag === undefined) return await stageOutput(stage, parts, signal);
  if (flag === "--check") return await checkOutput(stage, name, parts, signal);
  const experiment = /^--(\S+)$/.exec(flag)?.[1];
  if (experiment === undefined || name !== undefined) throw new Error(FORMS);
  const loaded = await loadExperiment(stage, experiment);
  if (loaded.needs !== undefined && !Bun.which(loaded.needs)) return undefined;
  return await runExperiment(loaded, stage, parts, signal);
}

/** What the command prints, with the viewer where it is in most readers' case: on its usual port. */
async function stageOutput(stage: Stage, parts: Parts, signal?: AbortSignal): Promise<string> {
  const late = AbortSignal.timeout(RUN_TIMEOUT_MS);
  const said: string[] = [];
  await runStage({
    folder: solutionOf(stage),
    stage,
    parts,
    stay: false,
    waterfall: { widthColumns: PAGE_COLUMNS, color: false },
    say: (text) => void said.push(text),
    signal: AbortSignal.any([late, ...(signal ? [signal] : [])]),
  });
  return said.join("\n").replaceAll(forPeople(parts.queryUrl), VIEWER).trim();
}

async function checkOutput(
  stage: Stage,
  name: string | undefined,
  parts: Parts,
  signal?: AbortSignal,
): Promise<string> {
  const files = name === "bare" ? startFiles(stage) : solutionFiles(stage);
  using scratch = createScratch(files);
  if (name !== undefined && name !== "bare") {
    const { mistakes } = await loadMistakes(stage);
    applyEdits(scratch.folder, editsOf(mistakes, name));
  }
  const said: string[] = [];
  const outcome = await runCheck({
    folder: scratch.folder,
    stage,
    parts,
    forward: false,
    say: (text) => void said.push(text),
    ...(signal && { signal }),
  });
  if (outcome === "broke") throw new Error(said.join("\n"));
  // The reader's files are in a folder of theirs.
  const folder = relative(ROOT, scratch.folder);
  return said.join("\n").replaceAll(folder, `.orderflow/tutorial/${stage.id}`).trim();
}
