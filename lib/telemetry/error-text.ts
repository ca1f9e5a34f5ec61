/** What spans and logs say of an error: its type, and a text that may leave. */
import { redactText } from "./logs/redact.ts";
import { databaseErrorText } from "./sql/error.ts";

const DESCRIPTION_CHARS_MAX = 500;

/** What an error says, as far as that may leave: of a database's error not its text, which holds values. */
export function errorMessage(error: Error): string {
  return databaseErrorText(error) ?? (error.message || error.name);
}

/** An error's text as spans and logs may show it: without secrets, at most 500 characters. */
export function errorText(error: unknown): string {
  const message = error instanceof Error ? errorMessage(error) : String(error);
  // Cut after the redaction: half a URL does not show its password as one any more.
  return redactText(message.slice(0, 4 * DESCRIPTION_CHARS_MAX)).slice(0, DESCRIPTION_CHARS_MAX);
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
