// Figures for a reader: middle and spread of repeated measurements, units, and a table.

/** Repeated measurements of one thing. */
export interface Spread {
  min: number;
  median: number;
  max: number;
}

/** @param values at least one */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return {
    min: sorted[0] ?? Number.NaN,
    // Of an even number of values, the mean of the two in the middle.
    median: (percentile(sorted, 50) + (sorted[(sorted.length - 1) >> 1] ?? Number.NaN)) / 2,
    max: sorted.at(-1) ?? Number.NaN,
  };
}

/** The value that `percent` of the values do not exceed. @param sorted ascending */
export function percentile(sorted: readonly number[], percent: number): number {
  const index = Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100));
  return sorted[Math.max(0, index)] ?? Number.NaN;
}

/** `median (min to max)`. @param show how one number is written */
export function showSpread({ min, median, max }: Spread, show: (value: number) => string): string {
  return `${show(median)} (${show(min)} to ${show(max)})`;
}

/** A whole number with separators. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

/** A duration in seconds. */
export function inSeconds(durationMs: number): string {
  return `${(durationMs / 1_000).toFixed(1)} s`;
}

export function mebibytes(bytes: number): string {
  return `${whole(bytes / 1_024 ** 2)} MiB`;
}

/** A share of 1 as whole percent. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
