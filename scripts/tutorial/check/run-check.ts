/** Runs a stage's check on a folder, and tells the reader what it did, saw and expected. */
import { relative } from "node:path";
import { unlessAborted } from "#lib/waiting/waiting.ts";
import type { Parts } from "../parts.ts";
import { ROOT, type Stage } from "../stages.ts";
import { ReaderError } from "../system/index.ts";
import { itemReport, notDone } from "./report.ts";
import type { CheckItem, StageCheck, Verdict } from "./stage-check.ts";
import { createTrial, type OwnedTrial } from "./trial.ts";

/** How a check ended: "broke" is the tool's own fault. */
export type CheckOutcome = "passed" | "not done" | "broke";

/** See {@link runCheck}. */
export interface CheckOptions {
  /** With the files to be judged. */
  readonly folder: string;
  readonly stage: Stage;
  readonly parts: Parts;
  /** Told what is for the reader, piece by piece, without a newline at the end. */
  readonly say: (text: string) => void;
  /** @default the stage's, from scripts/tutorial/checks/ */
  readonly check?: StageCheck;
  /** Told what became of each item, in their order. */
  readonly onVerdict?: (item: CheckItem, verdict: Verdict) => void;
  /** For all items together. @default 180_000 */
  readonly timeoutMs?: number;
  /** Whether the viewer gets the spans, too. @default true */
  readonly forward?: boolean;
  /** Gives the check up. */
  readonly signal?: AbortSignal;
}

const CHECK_TIMEOUT_MS = 180_000;

/**
 * Judges all items, also after one has failed. Everything that it started is stopped when it returns.
 * @throws the signal's reason
 */
export async function runCheck(options: CheckOptions): Promise<CheckOutcome> {
  const { folder, stage, say, signal: given, timeoutMs = CHECK_TIMEOUT_MS } = options;
  const late = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([late, ...(given ? [given] : [])]);
  let current = "";
  try {
    const { items } = options.check ?? (await loadCheck(stage));
    say(`checking stage ${stage.id}, ${stage.title}: ${relative(ROOT, folder) || folder}`);
    await using trial = createTrial({ ...options, signal });
    let failed = 0;
    for (const item of items) {
      current = ` at "${item.title}"`;
      const found = await judgeItem(item, trial, signal);
      options.onVerdict?.(item, found);
      say(itemReport(item, found, stage));
      if (!found.passed) failed += 1;
      if (trial.startFailure) {
        say(notDone(stage, "its programs do not run"));
        return "not done";
      }
    }
    if (failed === 0) {
      say(`stage ${stage.id} is done: all ${items.length} promises hold`);
      return "passed";
    }
    say(
      notDone(
        stage,
        `${failed} of ${items.length} promises ${failed === 1 ? "is" : "are"} not kept`,
      ),
    );
    return "not done";
  } catch (error) {
    given?.throwIfAborted();
    const why = late.aborted
      ? `the check was not over within ${timeoutMs / 1000} s`
      : error instanceof Error
        ? error.stack
        : String(error);
    say(`the tool broke${current}: ${why}`);
    return "broke";
  }
}

/** @throws Error where the stage has none */
export async function loadCheck(stage: Stage): Promise<StageCheck> {
  const { check }: { check: StageCheck } = await import(`../checks/${stage.id}.ts`);
  return check;
}

/** @throws what `judge` throws, except for what is the reader's programs' doing: that is a verdict */
async function judgeItem(
  item: CheckItem,
  trial: OwnedTrial,
  signal: AbortSignal,
): Promise<Verdict> {
  try {
    const found = await unlessAborted(item.judge(trial), signal);
    return found.passed ? found : await withCrashes(found, trial);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof ReaderError)) throw error;
    const expected = "programs that run, and answer";
    const found = { passed: false, did: "", saw: error.message, expected };
    return error === trial.startFailure ? found : await withCrashes(found, trial);
  } finally {
    await trial.endItem();
  }
}

/** A program that ended says more than what was missing because of it. */
async function withCrashes(found: Verdict, trial: OwnedTrial): Promise<Verdict> {
  const crashes = await trial.crashes();
  return { ...found, saw: [found.saw, ...crashes.map(({ message }) => message)].join("\n") };
}
