/** A Dockerfile, as far as the one here goes: its stages, instruction by instruction. */

/** One instruction. */
export interface Instruction {
  /** In capitals: FROM, COPY, RUN. */
  readonly name: string;
  /** The rest, with continued lines joined. */
  readonly text: string;
  readonly line: number;
}

/** What stands from one FROM to the next. */
export interface Stage {
  /** Its name after AS; its number where it has none. */
  readonly name: string;
  readonly from: string;
  readonly instructions: readonly Instruction[];
}

/** Splits a Dockerfile into stages; what stands before the first FROM (ARG) is `globals`. */
export function parseDockerfile(text: string): { globals: Instruction[]; stages: Stage[] } {
  const globals: Instruction[] = [];
  const stages: { name: string; from: string; instructions: Instruction[] }[] = [];
  for (const instruction of instructionsOf(text)) {
    if (instruction.name === "FROM") {
      const [, from = "", name] = /^(\S+)(?:\s+AS\s+(\S+))?$/i.exec(instruction.text) ?? [];
      stages.push({ name: name ?? String(stages.length), from, instructions: [] });
    } else {
      (stages.at(-1)?.instructions ?? globals).push(instruction);
    }
  }
  return { globals, stages };
}

/** `["a", "b"]`, the exec form of CMD, ENTRYPOINT and HEALTHCHECK; undefined for the shell form. */
export function execForm(text: string): string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  return JSON.parse(text) as string[];
}

/** `A=b C="d e"` of ENV, ARG and LABEL. */
export function keyValues(text: string): Record<string, string> {
  const pairs = text.matchAll(/([\w.]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))/g);
  return Object.fromEntries([...pairs].map(([, key, quoted, plain]) => [key, quoted ?? plain]));
}

function instructionsOf(text: string): Instruction[] {
  const instructions: Instruction[] = [];
  let open: { line: number; parts: string[] } | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    if (/^\s*(#.*)?$/.test(line)) continue;
    open ??= { line: index + 1, parts: [] };
    open.parts.push(line.replace(/\\\s*$/, "").trim());
    if (/\\\s*$/.test(line)) continue;
    const [, name = "", rest = ""] = /^(\w+)\s*(.*)$/.exec(open.parts.join(" ")) ?? [];
    instructions.push({ name: name.toUpperCase(), text: rest, line: open.line });
    open = undefined;
  }
  return instructions;
}
