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
import { trace, type Attributes, type Span } from "@opentelemetry/api";
import { readFileSync } from "node:fs";
import { isAbsolute, relative, resolve, sep } from "node:path";
import {
  ATTR_CODE_FILE_PATH,
  ATTR_CODE_FUNCTION_NAME,
  ATTR_CODE_LINE_NUMBER,
} from "../attributes.ts";
import { projectRoot } from "./project-root.ts";

/** Whose lines count, and how they are named. */
export interface Source {
  /** The layer's own folder, wherever it lies. Its lines are never the caller's. */
  layer: string;
  /** The folder that paths are relative to. */
  root: string;
  /** Beginnings of such paths; a line there goes before a nearer one elsewhere. */
  preferred: readonly string[];
}

// Not by a folder's name: the layer may be a package, a copy under another name, or a linked folder. What
// is linked is known here and on the stack alike by where it really lies.
const source: Source = {
  layer: resolve(import.meta.dir, ".."),
  root: projectRoot(),
  preferred: [],
};

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
 * Says where the lines are that tell a reader most. Without it the nearest line outside the layer is
 * shown, which may be a helper that all callers share.
 * @param prefixes of paths below the project's root, for example `services/`
 */
export function preferCallersIn(prefixes: readonly string[]): void {
  source.preferred = prefixes;
}

/**
 * The line outside the telemetry layer that is being executed: the nearest one that is preferred, or
 * where there is none on the stack, the nearest one of the project's own. A function that is nothing but
 * a call, as `() => inSpan(…)`, is on no stack: then it is the line of the span that is active.
 *
 * @returns `code.function.name`, `code.file.path` (relative to the project's root) and
 *   `code.line.number`; undefined when switched off or when no such line is known
 */
export function callerLocation(): Attributes | undefined {
  if (!enabled) return undefined;
  const active = trace.getActiveSpan();
  return locationFromStack(new Error().stack ?? "", source) ?? (active && lines.get(active));
}

const lines = new WeakMap<Span, Attributes>();

/** Remembers a span's line for those below it that have none of their own. */
export function rememberLine(span: Span, line: Attributes | undefined): void {
  if (line) lines.set(span, line);
}

/** Reads a stack as Bun prints it (`    at name (file:line:column)`). Exported for its test. */
export function locationFromStack(
  stack: string,
  { layer, root, preferred }: Source,
): Attributes | undefined {
  let fallback: Attributes | undefined;
  for (const line of stack.split("\n")) {
    const frame = /^\s*at (?:(.*?) \()?(?:file:\/\/)?([^()]+?):(\d+)(?::\d+)?\)?$/.exec(line);
    if (!frame) continue;
    const [, name, file, lineNumber] = frame;
    // The runtime's own frames are of a file "native".
    if (!file || !isAbsolute(file) || file.startsWith(layer + sep)) continue;
    const path = relative(root, file);
    // The project itself may lie in somebody's node_modules; what its own hold is not the project's.
    if (path.split(sep).includes("node_modules")) continue;
    const location = {
      [ATTR_CODE_FUNCTION_NAME]: functionName(name),
      [ATTR_CODE_FILE_PATH]: path.split(sep).join("/"),
      [ATTR_CODE_LINE_NUMBER]: Number(lineNumber),
    };
    if (preferred.length === 0 || preferred.some((prefix) => path.startsWith(prefix))) {
      return location;
    }
    fallback ??= location;
  }
  return fallback;
}

/** The lines of a file that a location names; none where it cannot be read. */
export function sourceLines(path: string): string[] {
  try {
    return readFileSync(resolve(source.root, path), "utf8").split("\n");
  } catch {
    return [];
  }
}

function functionName(name: string | undefined): string {
  const plain = (name ?? "").replace(/^(async|new) /, "");
  return plain === "" || plain === "<anonymous>" || plain === "module code" ? "<anonymous>" : plain;
}
