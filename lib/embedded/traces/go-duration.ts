/** Durations as Go writes them, and so Jaeger's API and its users. */

const MICROS_PER_UNIT: Readonly<Record<string, number>> = {
  ns: 0.001,
  us: 1,
  µs: 1,
  μs: 1,
  ms: 1_000,
  s: 1_000_000,
  m: 60_000_000,
  h: 3_600_000_000,
};

const UNITS = Object.keys(MICROS_PER_UNIT).join("|");
const AMOUNT = String.raw`(\d+(?:\.\d*)?|\.\d+)`;
const DURATION = new RegExp(`^[-+]?(?:${AMOUNT}(?:${UNITS}))+$`);
const DURATION_PART = new RegExp(`${AMOUNT}(${UNITS})`, "g");

/**
 * @returns microseconds of a duration in Go's notation, e.g. "1.5s", ".5s", "-1m30s" or "0", the only one
 *   without a unit; undefined where it is none
 * @see https://pkg.go.dev/time#ParseDuration
 */
export function microsOfDuration(text: string): number | undefined {
  if (text === "0") return 0;
  if (!DURATION.test(text)) return undefined;
  let micros = 0;
  for (const [, amount, unit = ""] of text.matchAll(DURATION_PART)) {
    micros += Number(amount) * (MICROS_PER_UNIT[unit] ?? 0);
  }
  return text.startsWith("-") ? -micros : micros;
}
