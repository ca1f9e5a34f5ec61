/**
 * The two folders that may be deleted: `speed/` (the same, at less cost) and `learning/` (the line that
 * made a span, on the span, and spans that are seen before they end). Nothing else imports them; what they give is asked for here, and where a
 * folder is gone the plain way is taken.
 */
import { ROOT_CONTEXT, type Attributes, type Context, type Span } from "@opentelemetry/api";
import type { Learning, OpenSpans, Speed } from "./optional-folders.ts";
import type { Env } from "./setup/environment.ts";

/** The parts of `speed/` that can be had alone, so that each can be measured. */
export const SPEED_PARTS = {
  contexts: ["EMPTY_CONTEXT", "LinkedContextManager"],
  headers: ["parseTraceparent"],
  attributes: ["fixed", "fixedSets"],
  tracer: ["createTracerProvider", "SpeedyTracer"],
} as const satisfies Record<string, readonly (keyof Speed)[]>;

/**
 * What is only for speed: undefined where the folder was deleted, and with ORDERFLOW_TELEMETRY_SPEED=off.
 * With names of parts, as in `contexts,tracer`, it is these alone.
 */
export const speed = wantedParts(process.env["ORDERFLOW_TELEMETRY_SPEED"] ?? "");

const learning = optional(() => require("./learning/index.ts") as Learning);

/** The context that each request and each record starts from: nothing is in it. */
export const EMPTY_CONTEXT: Context = speed?.EMPTY_CONTEXT ?? ROOT_CONTEXT;

/**
 * Fixes an attribute set that is made once and used for many measurements or spans: it cannot be changed
 * any more, and is known again.
 */
export function fixed(attributes: Attributes): Attributes {
  return speed?.fixed?.(attributes) ?? Object.freeze(attributes);
}

/**
 * Keeps the attribute sets of one kind of measurement.
 * @param make puts a set together from the parts that make it what it is
 * @returns a function that gives the set of some parts; `key` tells them from all others
 */
export function fixedSets<Parts extends readonly unknown[]>(
  make: (...parts: Parts) => Attributes,
): (key: string, ...parts: Parts) => Attributes {
  return speed?.fixedSets?.(make) ?? ((_key, ...parts) => make(...parts));
}

/**
 * The line outside this layer that is being executed, as `code.*` attributes. To be called before the
 * first `await`: afterwards the caller is no longer on the stack.
 * @returns undefined where code locations are off, or no such line is on the stack
 */
export function callerLocation(): Attributes | undefined {
  return learning?.callerLocation();
}

/** Remembers a span's line for those below it that have none of their own. */
export function rememberLine(span: Span, line: Attributes | undefined): void {
  learning?.rememberLine(span, line);
}

/** Says where the lines are that tell a reader most. @param prefixes of paths below the project's root */
export function preferCallersIn(prefixes: readonly string[]): void {
  learning?.preferCallersIn(prefixes);
}

/** Remembers, from now on, the line of each route that is registered by a method of a framework's class. */
export const rememberRoutes: Learning["rememberRoutes"] = (...args) =>
  learning?.rememberRoutes(...args);

/** The line that registered a route; undefined where code locations are off. */
export const lineOfRoute = learning?.codeLocationEnabled() ? learning.lineOfRoute : undefined;

/** The line of a key in an object that is written out where a location is; else that location. */
export function locationOfKey(known: Attributes, key: string): Attributes {
  return learning ? learning.locationOfKey(known, key) : known;
}

/** Shows on a span which header it sent, where code locations are on. @param headers as they were sent */
export function showInjected(from: Context, headers: Readonly<Record<string, string>>): void {
  learning?.showInjected(from, headers);
}

/** Whom to tell of spans when they start, so that they are seen before they end; undefined where nobody is. */
export function openSpans(env: Env, ending: AbortSignal): OpenSpans | undefined {
  return learning?.openSpans(env, ending);
}

/** @param words what is not known among them is told where the environment is read, and left aside here */
function wantedParts(words: string): Partial<Speed> | undefined {
  const wanted = words.split(",").map((word) => word.trim().toLowerCase());
  if (wanted.includes("off") || wanted.includes("none")) return undefined;
  const all = optional(() => require("./speed/index.ts") as Speed);
  const names = Object.entries(SPEED_PARTS).flatMap(([part, of]) => {
    return wanted.includes(part) ? of : [];
  });
  if (!all || names.length === 0) return all;
  return Object.fromEntries(names.map((name) => [name, all[name]]));
}

/** @throws what the folder's own code throws while it is loaded; that it is missing is no error */
function optional<T>(load: () => T): T | undefined {
  try {
    return load();
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === "MODULE_NOT_FOUND" || code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}
