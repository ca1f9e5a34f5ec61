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
