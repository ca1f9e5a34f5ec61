/**
 * Where each route was registered. While a request is handled no frame of the app is on the stack yet,
 * so the line to show for a SERVER span is the one that registered the route.
 *
 * Frameworks register a route again when an app becomes part of another (`use`, `group`, `route`): the
 * handler is the same then, and the path ends as before. The line is that of the first time.
 */
import type { Attributes } from "@opentelemetry/api";
import { ATTR_CODE_FILE_PATH, ATTR_CODE_LINE_NUMBER } from "../attributes.ts";
import type { Registration } from "../optional-folders.ts";
import { callerLocation, codeLocationEnabled, sourceLines } from "./code-location.ts";

const lines = new WeakMap<object, Attributes>();
const ofHandlers = new WeakMap<object, { path: string; line: Attributes }[]>();

/**
 * Remembers, from now on, the line of each route that is registered by a method of a framework's class.
 * Without code locations it leaves the class as it is.
 * @param read tells from the method's arguments, after it was called, what was registered
 */
export function rememberRoutes<Self extends object>(
  prototype: Self,
  method: string,
  read: (self: Self, args: readonly unknown[]) => Registration,
): void {
  if (!codeLocationEnabled()) return;
  const register = Reflect.get(prototype, method) as (...args: unknown[]) => unknown;
  Reflect.set(prototype, method, function (this: Self, ...args: unknown[]) {
    const result = Reflect.apply(register, this, args);
    const { route, handler, path } = read(this, args);
    const line = lineOfHandler(handler, path);
    if (route && line) lines.set(route, line);
    return result;
  });
}

/** The line that registered a route, if it is known. */
export function lineOfRoute(route: object | undefined): Attributes | undefined {
  return route && lines.get(route);
}

/**
 * The line of a key in an object that is written out from a known line on: `"/users/:id": …` among the
 * routes that are handed over there. It is looked for in the source.
 * @returns the known location where the key is not found, as in an object that is made elsewhere
 */
export function locationOfKey(known: Attributes, key: string): Attributes {
  const from = Number(known[ATTR_CODE_LINE_NUMBER]) - 1;
  const written = ['"', "'", "`"].map((quote) => `${quote}${key}${quote}:`);
  const at = sourceLines(String(known[ATTR_CODE_FILE_PATH])).findIndex(
    (line, index) => index >= from && written.some((text) => line.includes(text)),
  );
  return at < 0 ? known : { ...known, [ATTR_CODE_LINE_NUMBER]: at + 1 };
}

function lineOfHandler(handler: unknown, path: string): Attributes | undefined {
  if (typeof handler !== "function") return callerLocation();
  const known = ofHandlers.get(handler) ?? [];
  const before = known.find((registration) => path.endsWith(registration.path));
  if (before) return before.line;
  const line = callerLocation();
  if (line) ofHandlers.set(handler, [...known, { path, line }]);
  return line;
}
