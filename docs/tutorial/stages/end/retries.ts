// Retries: a failure that the next try makes good is an event on the span, and no error.
import type { Span } from "@opentelemetry/api";
import { describe } from "./errors.ts";

const TRIES_MAX = 4;
const PAUSE_MS = 100;

/** What goes wrong each time it is tried: it is not tried again. */
export class PermanentError extends Error {
  override readonly name = "PermanentError";
}

// #region retries
/** Runs `work`, and again after a failure that may pass. It gets how many tries there were before. */
export async function withRetries<T>(span: Span, work: (before: number) => Promise<T>): Promise<T> {
  for (let before = 0; ; before++) {
    try {
      return await work(before);
    } catch (error) {
      if (error instanceof PermanentError || before === TRIES_MAX - 1) throw error;
      const { type, text } = describe(error);
      span.addEvent("retry", { "error.type": type, "shop.retry.reason": text });
      await Bun.sleep(PAUSE_MS * 2 ** before);
    }
  }
}
// #endregion retries
