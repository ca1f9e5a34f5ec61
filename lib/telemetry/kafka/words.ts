/** What records out and records in have in common: keys, headers, attributes, links. */
import { isUtf8 } from "node:buffer";
import { trace, type Attributes, type Context, type Link } from "@opentelemetry/api";
import {
  ATTR_KAFKA_MESSAGE_KEY,
  ATTR_KAFKA_MESSAGE_TOMBSTONE,
  ATTR_MESSAGING_DESTINATION_NAME,
  ATTR_MESSAGING_OPERATION_NAME,
  ATTR_MESSAGING_OPERATION_TYPE,
  ATTR_MESSAGING_SYSTEM_NAME,
} from "../attributes.ts";
import { EMPTY_CONTEXT } from "../optional.ts";
import { extractFromKafka, type KafkaHeaders } from "../propagation.ts";

export type { TraceHeaders } from "../propagation.ts";

/** A key, a value or a header's value, as clients have them. */
export type Bytes = Uint8Array | string | null | undefined;

type HeaderValue = Bytes | readonly Bytes[];

/**
 * A record's headers as clients have them: an object of names (kafkajs), pairs (`Headers`, `Map`, lists
 * of pairs), or a list of objects with one name each (librdkafka's clients).
 */
export type MessageHeaders =
  | Readonly<Record<string, HeaderValue>>
  | Iterable<readonly [name: string, value: HeaderValue] | Readonly<Record<string, HeaderValue>>>
  | null
  | undefined;

/**
 * The context in which a message was created, as its headers tell; whatever is active here is not
 * looked at. Where the headers say nothing, it is an empty one.
 */
export function creationContext(headers: MessageHeaders): Context {
  return extractFromKafka(EMPTY_CONTEXT, byName(headers));
}

/** A link to a message's creation context; none where the message brought no context along. */
export function linkTo(creation: Context): Link[] {
  const spanContext = trace.getSpanContext(creation);
  return spanContext ? [{ context: spanContext }] : [];
}

/**
 * The attributes that every span about Kafka messages has.
 * @param record where it is about one alone: its key, and whether it is a tombstone
 */
export function messagingAttributes(
  operation: "create" | "send" | "process",
  topic: string,
  record: { readonly key?: Bytes; readonly value?: unknown } = {},
): Attributes {
  const key = textOf(record.key);
  return {
    [ATTR_MESSAGING_SYSTEM_NAME]: "kafka",
    [ATTR_MESSAGING_OPERATION_NAME]: operation,
    [ATTR_MESSAGING_OPERATION_TYPE]: operation,
    [ATTR_MESSAGING_DESTINATION_NAME]: topic,
    ...(key !== undefined && { [ATTR_KAFKA_MESSAGE_KEY]: key }),
    ...(record.value === null && { [ATTR_KAFKA_MESSAGE_TOMBSTONE]: true }),
  };
}

/** Bytes as text; a key that is no text has no form that could stand on a span. */
function textOf(bytes: Bytes): string | undefined {
  if (bytes === null || bytes === undefined || typeof bytes === "string") return bytes ?? undefined;
  return isUtf8(bytes) ? Buffer.from(bytes).toString() : undefined;
}

/** Headers by their names, each name with all its values in their order. */
function byName(headers: MessageHeaders): KafkaHeaders {
  // Without a prototype: a header may have any name, `__proto__` too.
  const all: Record<string, string[]> = Object.create(null);
  const pairs = isIterable(headers) ? [...headers].flatMap(pairsOf) : Object.entries(headers ?? {});
  for (const [name, value] of pairs) {
    const values = Array.isArray(value) ? value : [value];
    (all[name] ??= []).push(...values.map((one: Bytes) => textOf(one) ?? ""));
  }
  return all;
}

function pairsOf(
  entry: readonly [string, HeaderValue] | Readonly<Record<string, HeaderValue>>,
): (readonly [string, HeaderValue])[] {
  return isPair(entry) ? [entry] : Object.entries(entry);
}

function isPair(entry: object): entry is readonly [string, HeaderValue] {
  return Array.isArray(entry);
}

function isIterable<T>(value: object | Iterable<T> | null | undefined): value is Iterable<T> {
  return value !== null && value !== undefined && Symbol.iterator in value;
}
