/**
 * Kafka records in: one CONSUMER span for the handling of each record.
 *
 * Its parent is the message's creation context, so that a request and what it sets off are one trace; it links
 * to that context too, as the conventions ask of every `process` span.
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/messaging/messaging-spans.md#consumer-spans
 */
import { SpanKind, type Attributes, type Span } from "@opentelemetry/api";
import {
  ATTR_KAFKA_OFFSET,
  ATTR_MESSAGING_CONSUMER_GROUP_NAME,
  ATTR_MESSAGING_DESTINATION_PARTITION_ID,
} from "../attributes.ts";
import { callerLocation } from "../optional.ts";
import { runInSpan, tracer } from "../span.ts";
import { measureProcess } from "./measurements.ts";
import {
  creationContext,
  linkTo,
  messagingAttributes,
  type Bytes,
  type MessageHeaders,
} from "./words.ts";

/** A record that came in, as far as a span is about it. */
export interface ReceivedRecord {
  readonly topic: string;
  readonly partition: number;
  /** Clients have it as text or as a number. */
  readonly offset: string | number | bigint;
  readonly key?: Bytes;
  /** `null` is a tombstone. */
  readonly value?: Bytes;
  readonly headers?: MessageHeaders;
}

/**
 * Handles one record inside a `process {topic}` span.
 *
 * @param options.consumerGroup the group's id
 * @param options.location the line to show, where the caller's own is not the one: a consumer loop of
 *   one's own remembers where its handler was registered, since that is on no stack at delivery
 * @param handle gets the span; whatever it throws marks the span as failed and is thrown on
 */
export async function traceProcess<T>(
  record: ReceivedRecord,
  options: { consumerGroup: string; location?: Attributes | undefined },
  handle: (span: Span) => Promise<T>,
): Promise<T> {
  const creation = creationContext(record.headers);
  const span = tracer().startSpan(
    `process ${record.topic}`,
    {
      kind: SpanKind.CONSUMER,
      links: linkTo(creation),
      attributes: {
        ...messagingAttributes("process", record.topic, record),
        [ATTR_MESSAGING_CONSUMER_GROUP_NAME]: options.consumerGroup,
        [ATTR_MESSAGING_DESTINATION_PARTITION_ID]: String(record.partition),
        [ATTR_KAFKA_OFFSET]: Number(record.offset),
        ...(options.location ?? callerLocation()),
      },
    },
    creation,
  );
  return await runInSpan(span, creation, () =>
    measureProcess(record.topic, options.consumerGroup, () => handle(span)),
  );
}
