// A benchmark's command line: --name VALUE and --name, nothing else.
import { parseArgs } from "node:util";

/** Reads flags. @throws Error that names the one which is not known or has no value */
export function readFlags<Value extends string, Switch extends string>(
  args: readonly string[],
  values: readonly Value[],
  switches: readonly Switch[] = [],
): Partial<Record<Value, string>> & Partial<Record<Switch, boolean>> {
  const { values: given } = parseArgs({
    args: [...args],
    options: {
      ...Object.fromEntries(values.map((name) => [name, { type: "string" as const }])),
      ...Object.fromEntries(switches.map((name) => [name, { type: "boolean" as const }])),
    },
  });
  return given as Partial<Record<Value, string>> & Partial<Record<Switch, boolean>>;
}

/** A flag's whole number within bounds. @throws Error that names the flag */
export function wholeNumber(
  name: string,
  text: string | undefined,
  fallback: number,
  bounds: { min: number; max: number },
): number {
  if (text === undefined) return fallback;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= bounds.min && value <= bounds.max)) {
    throw new Error(`--${name} must be an integer from ${bounds.min} to ${bounds.max}`);
  }
  return value;
}
