// Errors of the consumer loop, and which of a handler's errors are worth another try.
import { KafkaJSError, KafkaJSGroupCoordinatorNotFound, KafkaJSProtocolError } from "kafkajs";
import { errorMessage } from "#lib/telemetry/error-text.ts";
import { redactText } from "#lib/telemetry/logs/redact.ts";

const ERROR_CHARACTERS_MAX = 1_000;

/** The record can never be handled (its value does not parse, say): it becomes a dead letter at once. */
export class UnprocessableRecordError extends Error {
  override readonly name = "UnprocessableRecordError";
  readonly code = "UNPROCESSABLE_RECORD";
  readonly retryable = false; // the same bytes will not parse next time either
}

/**
 * This consumer is done with the record without having settled it: the record's partition went to
 * another member of the group, or the consumer stops. Kafka delivers the record again.
 */
export class AbandonedError extends Error {
  override readonly name = "AbandonedError";
  readonly code = "ABANDONED";
  readonly retryable = false; // someone else has the record by now

  constructor(reason: string) {
    super(`record given back: ${reason}`);
  }
}

/** Whether an error may pass by itself: it says so with `retryable: true`. Anything else may not. */
export function isRetryable(error: unknown): boolean {
  return error instanceof Error && "retryable" in error && error.retryable === true;
}

/** The name of an error's class, also where the class did not set it as the error's name. */
export function errorName(error: Error): string {
  return error.name === "Error" ? error.constructor.name : error.name;
}

/** Whether it is the client library's own error, whatever it wraps. */
export function isKafkaError(error: unknown): boolean {
  return error instanceof KafkaJSError;
}

/** Whether a broker refused records because they are larger than their topic allows. */
export function isTooLarge(error: unknown): boolean {
  // kafkajs wraps what the broker answered.
  const answer = error instanceof KafkaJSError ? (error.cause ?? error) : error;
  return answer instanceof KafkaJSProtocolError && answer.type === "MESSAGE_TOO_LARGE";
}

/** Says in one bounded line, without secrets, what went wrong: more people read a dead letter than a log. */
export function describeError(error: unknown): string {
  const text =
    error instanceof Error ? `${errorName(error)}: ${errorMessage(error)}` : String(error);
  // kafkajs drops what each broker answered.
  const why =
    error instanceof KafkaJSGroupCoordinatorNotFound
      ? "; no broker names one: this user may have no right to the group"
      : "";
  return redactText(text + why)
    .replace(/\s+/g, " ")
    .slice(0, ERROR_CHARACTERS_MAX);
}
