/**
 * Kafka records out, in three steps that may lie far apart in time:
 *
 * - `create order.created` (PRODUCER): the event is written to the outbox. Its context is the
 *   message's creation context; it goes into the record's headers and is never changed after.
 * - `send order.created` (CLIENT): the relay hands one or more records to the broker.
 * - `send order.created.dlq` (PRODUCER): the worker gives a record up.
 *
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/messaging/messaging-spans.md#producer-spans
 */
import { isUtf8 } from "node:buffer";
import {
  context,
  SpanKind,
  trace,
  type Attributes,
  type Context,
  type Link,
} from "@opentelemetry/api";
import {
  ATTR_ERROR_TYPE,
  ATTR_KAFKA_MESSAGE_KEY,
  ATTR_KAFKA_MESSAGE_TOMBSTONE,
  ATTR_MESSAGING_BATCH_MESSAGE_COUNT,
  ATTR_MESSAGING_DESTINATION_NAME,
  ATTR_MESSAGING_OPERATION_NAME,
  ATTR_MESSAGING_OPERATION_TYPE,
  ATTR_MESSAGING_SYSTEM_NAME,
} from "../attributes.ts";
import { callerLocation, EMPTY_CONTEXT, showInjected } from "../optional.ts";
import {
  messagingClientOperationDuration,
  messagingClientSentMessages,
} from "../metrics/instruments.ts";
import {
  extractFromKafka,
  injectedHeaders,
  type KafkaHeaders,
  type TraceHeaders,
} from "../propagation.ts";
import { errorTypeOf, failSpan, tracer } from "../span.ts";

/**
 * Creates a message: runs `write` inside a `create {topic}` span.
 *
 * @param write stores the message together with the headers it is given; they carry this span's
 *   context to whoever handles the record
 */
export function traceCreate<T>(
  topic: string,
  key: string,
  write: (headers: TraceHeaders) => Promise<T>,
): Promise<T> {
  const attributes = { ...messagingAttributes("create", topic, key), ...callerLocation() };
  const span = tracer().startSpan(`create ${topic}`, { kind: SpanKind.PRODUCER, attributes });
  const own = trace.setSpan(context.active(), span);
  const headers = injectedHeaders(own);
  showInjected(own, headers);
  return context.with(own, async () => {
    try {
      return await write(headers);
    } catch (error) {
      failSpan(span, errorTypeOf(error), error);
      throw error;
    } finally {
      span.end();
    }
  });
}

/**
 * Sends records that were created before: a `send {topic}` CLIENT span that links to each record's
 * creation context. A single record's creation context is its parent as well; a batch's parent is
 * the span that is active now.
 *
 * @param records their keys and the headers that `traceCreate` gave
 */
export function traceSend<T>(
  topic: string,
  records: readonly { key: string; headers: KafkaHeaders }[],
  send: () => Promise<T>,
): Promise<T> {
  const creations = records.map(({ headers }) => extractFromKafka(EMPTY_CONTEXT, headers));
  const [single] = records;
  const alone = records.length === 1 && single !== undefined;
  const parent = alone ? (creations[0] ?? EMPTY_CONTEXT) : context.active();
  const attributes = alone
    ? messagingAttributes("send", topic, single.key)
    : {
        ...messagingAttributes("send", topic),
        [ATTR_MESSAGING_BATCH_MESSAGE_COUNT]: records.length,
      };
  return sendSpan(
    topic,
    SpanKind.CLIENT,
    attributes,
    creations.flatMap(linkTo),
    parent,
    send,
    records.length,
  );
}

/**
 * Gives a record up: a `send {deadLetterTopic}` PRODUCER span under the span that handles the
 * record. The record keeps its own creation context, which the span links to.
 */
export function traceDeadLetter<T>(
  topic: string,
  record: { key: Buffer | null; value: Buffer | null; headers?: KafkaHeaders },
  send: () => Promise<T>,
): Promise<T> {
  const attributes = {
    ...messagingAttributes("send", topic, keyText(record.key)),
    ...(record.value === null && { [ATTR_KAFKA_MESSAGE_TOMBSTONE]: true }),
  };
  const links = linkTo(extractFromKafka(EMPTY_CONTEXT, record.headers ?? {}));
  return sendSpan(topic, SpanKind.PRODUCER, attributes, links, context.active(), send, 1);
}

async function sendSpan<T>(
  topic: string,
  kind: SpanKind,
  attributes: Attributes,
  links: Link[],
  parent: Context,
  send: () => Promise<T>,
  records: number,
): Promise<T> {
  const span = tracer().startSpan(
    `send ${topic}`,
    { kind, links, attributes: { ...attributes, ...callerLocation() } },
    parent,
  );
  const metricAttributes: Attributes = {
    [ATTR_MESSAGING_SYSTEM_NAME]: "kafka",
    [ATTR_MESSAGING_OPERATION_NAME]: "send",
    [ATTR_MESSAGING_DESTINATION_NAME]: topic,
  };
  const startedMs = performance.now();
  try {
    return await context.with(trace.setSpan(parent, span), send);
  } catch (error) {
    metricAttributes[ATTR_ERROR_TYPE] = errorTypeOf(error);
    failSpan(span, errorTypeOf(error), error);
    throw error;
  } finally {
    const seconds = (performance.now() - startedMs) / 1000;
    messagingClientSentMessages.add(records, metricAttributes);
    messagingClientOperationDuration.record(seconds, {
      ...metricAttributes,
      [ATTR_MESSAGING_OPERATION_TYPE]: "send",
    });
    span.end();
  }
}

/** The attributes that every span about a Kafka message has. */
export function messagingAttributes(
  operation: "create" | "send" | "process",
  topic: string,
  key?: string,
): Attributes {
  const attributes: Attributes = {
    [ATTR_MESSAGING_SYSTEM_NAME]: "kafka",
    [ATTR_MESSAGING_OPERATION_NAME]: operation,
    [ATTR_MESSAGING_OPERATION_TYPE]: operation,
    [ATTR_MESSAGING_DESTINATION_NAME]: topic,
  };
  if (key !== undefined) attributes[ATTR_KAFKA_MESSAGE_KEY] = key;
  return attributes;
}

/** A record's key as text; a key that is no text has no form that could stand on a span. */
export function keyText(key: Buffer | null): string | undefined {
  return key && isUtf8(key) ? key.toString() : undefined;
}

/** A link to a message's creation context; none where the message brought no context along. */
export function linkTo(creation: Context): Link[] {
  const spanContext = trace.getSpanContext(creation);
  return spanContext ? [{ context: spanContext }] : [];
}
