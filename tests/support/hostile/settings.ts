/**
 * How many hostile inputs a run makes, and from which seed.
 *
 *     HOSTILE_RUNS=20000 HOSTILE_SEED=42 bun test tests/hostile-
 */
import type { Parameters } from "fast-check";

const RUNS_DEFAULT = 1_500;
const RUNS_MAX = 1_000_000;
/** More than the slowest input takes. */
const INPUT_TIMEOUT_MS = 100;

const runs = Math.min(Number(process.env["HOSTILE_RUNS"]) || RUNS_DEFAULT, RUNS_MAX);
const seed = Number(process.env["HOSTILE_SEED"]) || Math.floor(Math.random() * 0x7fff_ffff);

/** For a property's test: long enough for all of its inputs. */
export const HOSTILE_TIMEOUT_MS = 60_000 + runs * INPUT_TIMEOUT_MS;

/**
 * The settings of one property.
 * @param share of all inputs that this property gets, 0 to 1
 */
export function hostileSettings<T>(share: number): Parameters<T> & { numRuns: number } {
  // Bounded: an input is shrunk by sending smaller ones, and each costs as much as the first.
  return { seed, numRuns: Math.ceil(runs * share), interruptAfterTimeLimit: HOSTILE_TIMEOUT_MS };
}

/** Says what was tried, so that a reader of the log can try it again. */
export function reportInputs(what: string, inputs: number, outcomes: Record<string, number>): void {
  const shown = Object.entries(outcomes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([outcome, count]) => `${outcome}: ${count}`)
    .join(", ");
  console.log(`${what}: ${inputs} hostile inputs, HOSTILE_SEED=${seed} (${shown})`);
}
