// Errors, as a span tells of them: what kind, for machines, and what went wrong, for people. No values.
import { SpanStatusCode, type Span } from "@opentelemetry/api";
import { SQL } from "bun";

// #region fail-span
/** Marks a span as failed. `type`: few different ones, to count by; `text`: a sentence, to read. */
export function failSpan(span: Span, { type, text }: { type: string; text: string }): void {
  span.setAttribute("error.type", type);
  span.setStatus({ code: SpanStatusCode.ERROR, message: text });
}
// #endregion fail-span

// #region describe
/** What there is to say about whatever was thrown. */
export function describe(error: unknown): { type: string; text: string } {
  if (error instanceof SQL.PostgresError) {
    // Its message quotes what the statement was given; its code says as much, without.
    const code = error.errno ?? error.code;
    return { type: code, text: `PostgreSQL's error ${code}` };
  }
  if (error instanceof Error) {
    const { code } = error as { code?: unknown };
    return { type: typeof code === "string" ? code : error.name, text: error.message };
  }
  return { type: "_OTHER", text: String(error) };
}
// #endregion describe
