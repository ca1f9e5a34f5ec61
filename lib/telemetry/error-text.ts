/** What spans and logs say of an error: its type, and a text that may leave. */
import { redactText } from "./logs/redact.ts";
import { databaseErrorText } from "./sql/error.ts";

const DESCRIPTION_CHARS_MAX = 500;

/**
 * What an error says, as far as that may leave: not the text of a database's error, nor of a failed
 * validation, as these hold values.
 */
export function errorMessage(error: Error): string {
  const text = databaseErrorText(error) ?? validationErrorText(error) ?? error.message;
  return String(text || error.name);
}

/**
 * Elysia's error says in its text what was found in place of what was expected: a whole body, say. Those
 * of Zod and its like, which have a list of issues, may.
 */
function validationErrorText(error: Error): string | undefined {
  const { code, type, valueError, issues } = error as {
    code?: unknown;
    type?: unknown;
    valueError?: { path?: unknown };
    issues?: unknown;
  };
  if (Array.isArray(issues)) return `validation failed: ${issues.length} issues`;
  if (code !== "VALIDATION" || typeof type !== "string") return undefined;
  const path = valueError?.path;
  return `validation of ${type} failed${typeof path === "string" && path ? `: ${path}` : ""}`;
}

/** An error's text as spans and logs may show it: without secrets, at most 500 characters. */
export function errorText(error: unknown): string {
  const message = textOf(error);
  // Cut after the redaction: half a URL does not show its password as one any more.
  return redactText(message.slice(0, 4 * DESCRIPTION_CHARS_MAX)).slice(0, DESCRIPTION_CHARS_MAX);
}

/** What was thrown may be no Error: a sentence, or an object that may have one. It never fails. */
function textOf(thrown: unknown): string {
  try {
    if (thrown instanceof Error) return errorMessage(thrown);
    if (typeof thrown !== "object" || thrown === null) return String(thrown);
    const { message } = thrown as { message?: unknown };
    return typeof message === "string" ? message : "what was thrown is no Error";
  } catch {
    return "what was thrown cannot be read";
  }
}

/**
 * What to write as `error.type` for an error: its own `errorType` where the class has one (an HTTP
 * status, an SQLSTATE), else the name of its class.
 */
export function errorTypeOf(error: unknown): string {
  if (!(error instanceof Error)) return "_OTHER";
  if ("errorType" in error && typeof error.errorType === "string") return error.errorType;
  return error.name && error.name !== "Error" ? error.name : error.constructor.name;
}
