// #region create
// Kafka: a PRODUCER span where a record is created, a CLIENT span where it is sent, a CONSUMER span where it is handled.
import {
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  trace,
  type Context,
  type Span,
  type TextMapGetter,
} from "@opentelemetry/api";
import type { IHeaders, KafkaMessage } from "kafkajs";
import { inSpan } from "./tracing.ts";

/** Headers that carry a span's place to whoever handles the record. */
export type TraceHeaders = Record<string, string>;

/** Creates a record: `write` stores it, with the headers it is given. They are never changed again. */
export async function createRecord<T>(
  topic: string,
  key: string,
  write: (headers: TraceHeaders) => Promise<T>,
): Promise<T> {
  const attributes = { ...messaging("create", topic), "messaging.kafka.message.key": key };
  return await inSpan(
    `create ${topic}`,
    async () => {
      const headers: TraceHeaders = {};
      propagation.inject(context.active(), headers);
      return await write(headers);
    },
    { kind: SpanKind.PRODUCER, attributes },
  );
}
// #endregion create

// #region send
/** Sends records that were created before, perhaps in many traces: the span links to each of them. */
export async function sendRecords<T>(
  topic: string,
  records: readonly { headers: IHeaders }[],
  send: () => Promise<T>,
): Promise<T> {
  const creations = records.map(({ headers }) => creationOf(headers));
  const attributes = {
    ...messaging("send", topic),
    "messaging.batch.message_count": records.length,
  };
  // While a record is handled, below that. Else one record alone has one place where its sending
  // belongs; of several, none is the one.
  const [only] = creations.length === 1 ? creations : [ROOT_CONTEXT];
  const parent = trace.getActiveSpan() ? context.active() : only;
  const links = creations.flatMap(linkTo);
  return await inSpan(`send ${topic}`, send, { kind: SpanKind.CLIENT, attributes, links }, parent);
}
// #endregion send

// #region process
/** Handles a record as a CONSUMER span, below the span that created the record. */
export async function processRecord<T>(
  { topic, partition, message }: { topic: string; partition: number; message: KafkaMessage },
  group: string,
  handle: (span: Span) => Promise<T>,
): Promise<T> {
  const creation = creationOf(message.headers);
  const attributes = {
    ...messaging("process", topic),
    "messaging.consumer.group.name": group,
    "messaging.destination.partition.id": String(partition),
    "messaging.kafka.offset": Number(message.offset),
    "messaging.kafka.message.key": message.key?.toString(),
  };
  const links = linkTo(creation);
  return await inSpan(
    `process ${topic}`,
    handle,
    { kind: SpanKind.CONSUMER, attributes, links },
    creation,
  );
}
// #endregion process

// #region words
/** What every span about Kafka says. */
function messaging(operation: "create" | "send" | "process", topic: string) {
  return {
    "messaging.system": "kafka",
    "messaging.operation.name": operation,
    "messaging.operation.type": operation,
    "messaging.destination.name": topic,
  };
}

/** None where the headers said nothing. */
function linkTo(creation: Context) {
  const spanContext = trace.getSpanContext(creation);
  return spanContext ? [{ context: spanContext }] : [];
}
// #endregion words

// #region creation
/** kafkajs hands headers out as Buffers, and the default getter takes no Buffer for text. */
const fromBuffers: TextMapGetter<IHeaders> = {
  get: (headers, name) => headers[name]?.toString(),
  keys: (headers) => Object.keys(headers),
};

/** The span that created a record, as far as its headers tell. */
function creationOf(headers: IHeaders = {}): Context {
  return propagation.extract(ROOT_CONTEXT, headers, fromBuffers);
}
// #endregion creation
