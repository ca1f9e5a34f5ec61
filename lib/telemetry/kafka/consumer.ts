/**
 * Kafka records in: one CONSUMER span for the handling of each record.
 *
 * Its parent is the message's creation context, so that one order is one trace; it links to that
 * context too, as the conventions ask of every `process` span.
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/messaging/messaging-spans.md#consumer-spans
 */
import { context, SpanKind, trace, type Attributes, type Span } from "@opentelemetry/api";
import {
  ATTR_ERROR_TYPE,
  ATTR_KAFKA_OFFSET,
  ATTR_MESSAGING_CONSUMER_GROUP_NAME,
  ATTR_MESSAGING_DESTINATION_NAME,
  ATTR_MESSAGING_DESTINATION_PARTITION_ID,
  ATTR_MESSAGING_OPERATION_NAME,
  ATTR_MESSAGING_SYSTEM_NAME,
} from "../attributes.ts";
import {
  messagingClientConsumedMessages,
  messagingProcessDuration,
} from "../metrics/instruments.ts";
import { callerLocation } from "../optional.ts";
import { errorTypeOf, failSpan, tracer } from "../span.ts";
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
  const group: Attributes = {
    [ATTR_MESSAGING_SYSTEM_NAME]: "kafka",
    [ATTR_MESSAGING_DESTINATION_NAME]: record.topic,
    [ATTR_MESSAGING_CONSUMER_GROUP_NAME]: options.consumerGroup,
  };
  const span = tracer().startSpan(
    `process ${record.topic}`,
    {
      kind: SpanKind.CONSUMER,
      links: linkTo(creation),
      attributes: {
        ...messagingAttributes("process", record.topic, record),
        ...group,
        [ATTR_MESSAGING_DESTINATION_PARTITION_ID]: String(record.partition),
        [ATTR_KAFKA_OFFSET]: Number(record.offset),
        ...(options.location ?? callerLocation()),
      },
    },
    creation,
  );
  const metricAttributes: Attributes = { ...group, [ATTR_MESSAGING_OPERATION_NAME]: "process" };
  messagingClientConsumedMessages.add(1, { ...group, [ATTR_MESSAGING_OPERATION_NAME]: "consume" });
  const startedMs = performance.now();
  try {
    return await context.with(trace.setSpan(creation, span), handle, undefined, span);
  } catch (error) {
    metricAttributes[ATTR_ERROR_TYPE] = errorTypeOf(error);
    failSpan(span, errorTypeOf(error), error);
    throw error;
  } finally {
    messagingProcessDuration.record((performance.now() - startedMs) / 1000, metricAttributes);
    span.end();
  }
}
