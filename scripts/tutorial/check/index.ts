/** Checks: what a stage's check is made of, what helps to write one, and how it is run. */
export { loadCheck, runCheck, type CheckOptions, type CheckOutcome } from "./run-check.ts";
export {
  ancestorsOf,
  childrenOf,
  describe,
  findSpans,
  inTrace,
  isBelow,
  msOf,
  oneSpan,
  parentOf,
  spanTree,
  traceCount,
  type SpanPattern,
} from "./spans.ts";
export type { CheckItem, StageCheck, Trial, TrialOptions, Verdict } from "./stage-check.ts";
export { verdict, type Claim } from "./verdict.ts";
