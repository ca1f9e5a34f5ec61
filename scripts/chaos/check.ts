/** One promise, checked. */
export interface Check {
  /** The promise. */
  readonly name: string;
  /** What was counted, in a few words. */
  readonly count: string;
  /** Each breach in one line; empty where the promise was kept. */
  readonly breaches: readonly string[];
}

/** A promise that none of some things breaks. */
export function check(name: string, count: string, breaches: readonly string[]): Check {
  return { name, count, breaches };
}
