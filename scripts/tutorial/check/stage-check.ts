/** What a stage's check is made of: promises, each judged by what the programs send. */
import type { Program } from "../stages.ts";
import type { ProgramEnv, System } from "../system/index.ts";

/** The check of a stage: what scripts/tutorial/checks/NN.ts exports as `check`. */
export interface StageCheck {
  /** From a nudge to nearly the answer; none is the answer. */
  readonly hints: readonly [string, string, string];
  /** Judged in this order. */
  readonly items: readonly CheckItem[];
}

/** One promise that the reader's programs keep, or not yet. */
export interface CheckItem {
  /** The promise: "a request is a SERVER span, named by its route". */
  readonly title: string;
  /** The paragraph of the stage's page that explains it: "#names-and-routes". */
  readonly anchor: string;
  /**
   * Does something to the programs, and looks at what they did. Judges by spans, headers, records and
   * rows, never by what a program prints; what is there beyond the promise does not count against it.
   */
  judge(trial: Trial): Promise<Verdict>;
}

/** What an item found; for the reader. See `verdict`. */
export interface Verdict {
  readonly passed: boolean;
  /** What the check did: "POST /orders at the gateway". */
  readonly did: string;
  /** What came of it, over several lines where that helps. */
  readonly saw: string;
  readonly expected: string;
  /** Worth a look also where it passed. */
  readonly note?: string;
}

/** Where an item gets its running programs from. */
export interface Trial {
  /**
   * Without options the one that all items share, started by the first that asks. It has forgotten what
   * earlier items made it send, but rows and records stay; where a program of it has ended it is
   * replaced. With options one of the item's own, which ends with the item.
   */
  system(options?: TrialOptions): Promise<System>;
}

/** How an item's own system differs. */
export interface TrialOptions {
  /** One of the item's own, and no other difference. */
  readonly fresh?: true;
  /** Added to the programs' environment. */
  readonly env?: ProgramEnv;
  /** Those that run. @default the stage's */
  readonly programs?: readonly Program[];
}
