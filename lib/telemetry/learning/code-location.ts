/**
 * Which line made this span: `code.*` attributes that lead from a trace to the source.
 *
 * Off by default, because reading a stack costs more than the span itself. With
 * ORDERFLOW_CODE_LOCATION=on (the demo's setting) each function of the layer asks for its caller's
 * line, synchronously and before its first `await`: afterwards the caller is no longer on the stack.
 * For the same reason the services write `await db.query…` and not `return db.query…`: JavaScriptCore
 * drops the frame of a function that ends in a call.
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/registry/attributes/code.md
 */
import type { Attributes } from "@opentelemetry/api";
import { isAbsolute, relative, resolve, sep } from "node:path";
import {
  ATTR_CODE_FILE_PATH,
  ATTR_CODE_FUNCTION_NAME,
  ATTR_CODE_LINE_NUMBER,
} from "../attributes.ts";

const REPOSITORY = resolve(import.meta.dir, "../../..");
const LAYER = `lib${sep}telemetry${sep}`;

let enabled = process.env["ORDERFLOW_CODE_LOCATION"] === "on";

/** Whether spans carry their code location. */
export function codeLocationEnabled(): boolean {
  return enabled;
}

/** Turns code locations on or off for this process; tests use it. */
export function setCodeLocationEnabled(value: boolean): void {
  enabled = value;
}

/**
 * The line outside the telemetry layer that is being executed: the nearest one in `services/`, or
 * where there is none on the stack, in `lib/` or `scripts/`.
 *
 * @returns `code.function.name`, `code.file.path` (relative to the repository) and
 *   `code.line.number`; undefined when switched off or when no such line is on the stack
 */
export function callerLocation(): Attributes | undefined {
  return enabled ? locationFromStack(new Error().stack ?? "") : undefined;
}

/** Reads a stack as Bun prints it (`    at name (file:line:column)`). Exported for its test. */
export function locationFromStack(stack: string): Attributes | undefined {
  let fallback: Attributes | undefined;
  for (const line of stack.split("\n")) {
    const frame = /^\s*at (?:(.*?) \()?(?:file:\/\/)?([^()]+?):(\d+)(?::\d+)?\)?$/.exec(line);
    if (!frame) continue;
    const [, name, file, lineNumber] = frame;
    // The runtime's own frames are of a file "native".
    if (!file || !isAbsolute(file)) continue;
    const path = relative(REPOSITORY, file);
    if (path.startsWith("..") || path.includes("node_modules") || path.startsWith(LAYER)) continue;
    const location = {
      [ATTR_CODE_FUNCTION_NAME]: functionName(name),
      [ATTR_CODE_FILE_PATH]: path.split(sep).join("/"),
      [ATTR_CODE_LINE_NUMBER]: Number(lineNumber),
    };
    if (path.startsWith(`services${sep}`)) return location;
    fallback ??= location;
  }
  return fallback;
}

function functionName(name: string | undefined): string {
  const plain = (name ?? "").replace(/^(async|new) /, "");
  return plain === "" || plain === "<anonymous>" || plain === "module code" ? "<anonymous>" : plain;
}
