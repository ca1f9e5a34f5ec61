/**
 * Kafka records out, in two ways:
 *
 * - with an outbox, in two steps that may lie far apart in time. `create {topic}` (PRODUCER): the event
 *   is written to the outbox; its context is the message's creation context, which goes into the
 *   record's headers and is never changed after. `send {topic}` (CLIENT): records that have their
 *   creation context are handed to the broker, also those that are passed on or given up.
 * - without one, in one step: `send {topic}` (PRODUCER), whose own context is the creation context.
 *
 * The kinds are the conventions': whichever span's context goes into the record is the PRODUCER.
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/messaging/messaging-spans.md#span-kind
 */
import { context, SpanKind, trace, type Context, type Span } from "@opentelemetry/api";
import { ATTR_MESSAGING_BATCH_MESSAGE_COUNT } from "../attributes.ts";
import { callerLocation, EMPTY_CONTEXT, showInjected } from "../optional.ts";
import { injectedHeaders } from "../propagation.ts";
import { runInSpan, tracer } from "../span.ts";
import { measureSend } from "./measurements.ts";
import {
  creationContext,
  linkTo,
  messagingAttributes,
  type Bytes,
  type MessageHeaders,
  type TraceHeaders,
} from "./words.ts";

/** A record to be sent, as far as a span is about it. */
export interface SentRecord {
  readonly key?: Bytes;
  /** `null` is a tombstone; where it is left out, nothing is said about it. */
  readonly value?: Bytes;
  /** As the record is sent with them: its creation context is read from there. */
  readonly headers?: MessageHeaders;
}

/**
 * Creates a message: runs `write` inside a `create {topic}` PRODUCER span.
 *
 * @param write stores the message together with the headers it is given; they carry this span's
 *   context to whoever handles the record. What it throws marks the span as failed and is thrown on
 */
export function traceCreate<T>(
  topic: string,
  key: Bytes,
  write: (headers: TraceHeaders) => Promise<T>,
): Promise<T> {
  const attributes = { ...messagingAttributes("create", topic, { key }), ...callerLocation() };
  const span = tracer().startSpan(`create ${topic}`, { kind: SpanKind.PRODUCER, attributes });
  return withHeadersOf(span, write);
}

/**
 * Creates and sends a message in one, for those without an outbox: a `send {topic}` PRODUCER span.
 *
 * @param publish hands the record to the client, together with the headers it is given (and those of
 *   its own). What it throws marks the span as failed and is thrown on
 */
export function tracePublish<T>(
  topic: string,
  key: Bytes,
  publish: (headers: TraceHeaders) => Promise<T>,
): Promise<T> {
  const attributes = { ...messagingAttributes("send", topic, { key }), ...callerLocation() };
  const span = tracer().startSpan(`send ${topic}`, { kind: SpanKind.PRODUCER, attributes });
  return withHeadersOf(span, (headers) => measureSend(topic, 1, () => publish(headers)));
}

/**
 * Sends records that were created before: a `send {topic}` CLIENT span that links to each record's
 * creation context.
 *
 * @param records their keys, and the headers that `traceCreate` gave or that they came with
 * @param send hands them to the client. What it throws marks the span as failed and is thrown on
 * @param options.parent of the span. Default: a single record's creation context; for several, what is
 *   active now
 */
export function traceSend<T>(
  topic: string,
  records: readonly SentRecord[],
  send: () => Promise<T>,
  options: { parent?: Context } = {},
): Promise<T> {
  const creations = records.map(({ headers }) => creationContext(headers));
  const single = records.length === 1 ? records[0] : undefined;
  const parent = options.parent ?? (single ? (creations[0] ?? EMPTY_CONTEXT) : context.active());
  const span = tracer().startSpan(
    `send ${topic}`,
    {
      kind: SpanKind.CLIENT,
      links: creations.flatMap(linkTo),
      attributes: {
        ...messagingAttributes("send", topic, single),
        ...(!single && { [ATTR_MESSAGING_BATCH_MESSAGE_COUNT]: records.length }),
        ...callerLocation(),
      },
    },
    parent,
  );
  return runInSpan(span, parent, () => measureSend(topic, records.length, send));
}

/** Runs `work` in a span, with the headers that carry the span's context; then the span ends. */
function withHeadersOf<T>(span: Span, work: (headers: TraceHeaders) => Promise<T>): Promise<T> {
  const own = trace.setSpan(context.active(), span);
  const headers = injectedHeaders(own);
  showInjected(own, headers);
  return runInSpan(span, own, () => work(headers));
}
