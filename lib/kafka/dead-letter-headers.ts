// Dead-letter headers: what a dead letter says about itself, and how to take that off again.
import type { IHeaders } from "kafkajs";
import { describeError } from "./errors.ts";

/** The names of the headers that a dead letter has beyond those of its record. */
export const DEAD_LETTER_HEADERS = {
  /** Why it could not be handled, for a person. */
  error: "dlq-error",
  /** Where it was read from. */
  topic: "dlq-topic",
  partition: "dlq-partition",
  offset: "dlq-offset",
  /** How often it was tried. */
  attempts: "dlq-attempts",
} as const;

const OWN_NAMES: ReadonlySet<string> = new Set(Object.values(DEAD_LETTER_HEADERS));

/**
 * Builds a dead letter's headers: the record's own, unchanged (its trace context too, so that the
 * letter still belongs to the order's trace), and those that say what happened. Where the record has
 * headers of those names itself, ours are the last of each name.
 *
 * Two things are lost on the way through kafkajs: it cannot write a header without a value, so such a
 * one gets an empty value; and it reads headers as a map of names, so those of one name come together
 * where others stood between them.
 */
export function deadLetterHeaders(
  record: { topic: string; partition: number; offset: string; headers: IHeaders },
  failure: { error: unknown; attempts: number },
): IHeaders {
  const own = {
    [DEAD_LETTER_HEADERS.error]: describeError(failure.error),
    [DEAD_LETTER_HEADERS.topic]: record.topic,
    [DEAD_LETTER_HEADERS.partition]: String(record.partition),
    [DEAD_LETTER_HEADERS.offset]: record.offset,
    [DEAD_LETTER_HEADERS.attempts]: String(failure.attempts),
  };
  const headers = writable(record.headers);
  for (const [name, value] of Object.entries(own)) {
    const others = headers[name];
    headers[name] = others === undefined ? value : [others, value].flat();
  }
  return headers;
}

/** The headers that the record had before it became a dead letter. */
export function originalHeaders(headers: IHeaders): IHeaders {
  return writable(
    Object.fromEntries(
      Object.entries(headers).flatMap(([name, value]) => {
        if (!OWN_NAMES.has(name)) return [[name, value]];
        // Ours is the last one; what is left was the record's.
        return Array.isArray(value) ? [[name, value.slice(0, -1)]] : [];
      }),
    ),
  );
}

function writable(headers: IHeaders): IHeaders {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.map((one) => one ?? "") : (value ?? ""),
    ]),
  );
}
