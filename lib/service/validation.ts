/**
 * Schemas for JSON that take nothing for something else, and what to tell a person about a breach.
 *
 * Elysia's own `t.Integer()` accepts `"1"`; TypeBox's does not.
 */
import { FormatRegistry, Type } from "@sinclair/typebox";

/** An integer, as a JSON number. */
export function strictInteger(name: string, bounds: { min: number; max: number }) {
  return Type.Integer({
    minimum: bounds.min,
    maximum: bounds.max,
    error: `${name} must be an integer from ${bounds.min} to ${bounds.max}`,
  });
}

/**
 * A text of 1 to `charactersMax` characters (Unicode code points) that PostgreSQL can store: no NUL
 * and no half of a surrogate pair.
 */
export function text(name: string, charactersMax: number) {
  const format = `text-${charactersMax}`;
  FormatRegistry.Set(format, (value) => isText(value, charactersMax));
  return Type.String({
    format,
    error: `${name} must be a string of 1 to ${charactersMax} characters without NUL or lone surrogates`,
  });
}

/** Whether a value is such a text; for what does not come in a JSON body. */
export function isText(value: string, charactersMax: number): boolean {
  return (
    value.length > 0 &&
    value.length <= 2 * charactersMax &&
    [...value].length <= charactersMax &&
    !value.includes("\u0000") &&
    value.isWellFormed()
  );
}

/**
 * Whether what a query percent-encodes is UTF-8. URLSearchParams does not tell: it puts U+FFFD where it
 * is not, so that different texts become the same.
 * @param search as in `URL.search`; a `%` that encodes nothing stands for itself there
 */
export function isUtf8Query(search: string): boolean {
  try {
    decodeURIComponent(search.replace(/%(?![0-9a-f]{2})/gi, "%25"));
    return true;
  } catch {
    return false;
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether a text is a UUID in the usual form with hyphens. */
export function isUuid(value: string): boolean {
  return UUID.test(value);
}

/** Turns Elysia's validation error into one sentence: the schema's own, or where and what. */
export function describeValidation(error: unknown): string {
  // Not `error.all`: its summaries turn values into text, and a value may be {"toString": 1}.
  const { valueError: first } = error as {
    valueError?: { path?: string; message?: string; schema?: { error?: unknown } };
  };
  if (typeof first?.schema?.error === "string") {
    const where = /^\/items\/(\d+)(?:\/|$)/.exec(first.path ?? "");
    return where ? `items[${where[1]}]: ${first.schema.error}` : first.schema.error;
  }
  const where = (first?.path ?? "").slice(1).replaceAll("/", ".");
  return where ? `${where}: ${first?.message ?? "is not valid"}` : "the body must be a JSON object";
}
