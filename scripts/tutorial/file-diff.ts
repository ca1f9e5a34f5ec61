/** What differs between two sets of files, as a terminal shows it. */
import { hunksOf } from "./pages/stage-diff.ts";
import type { Files } from "./stage-files.ts";

const COLORS = [
  [/^(?:---|\+\+\+) /, "1"],
  [/^@@/, "36"],
  [/^\+/, "32"],
  [/^-/, "31"],
] as const;

/** @returns a unified diff, file by file; "" where nothing differs */
export function filesDiff(before: Files, after: Files, color: boolean): string {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  const diffs = names.flatMap((name) => {
    const hunks = hunksOf(before.get(name) ?? "", after.get(name) ?? "");
    if (hunks === "") return [];
    const from = before.has(name) ? name : "/dev/null";
    const to = after.has(name) ? name : "/dev/null";
    return [`--- ${from}\n+++ ${to}\n${hunks}`];
  });
  const text = diffs.join("\n\n");
  return color ? text.split("\n").map(painted).join("\n") : text;
}

function painted(line: string): string {
  const code = COLORS.find(([pattern]) => pattern.test(line))?.[1];
  return code === undefined ? line : `\u001B[${code}m${line}\u001B[0m`;
}
