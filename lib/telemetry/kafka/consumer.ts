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
  ATTR_KAFKA_MESSAGE_TOMBSTONE,
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
import { keyText, linkTo, messagingAttributes } from "./producer.ts";
import { EMPTY_CONTEXT } from "../optional.ts";
import { extractFromKafka, type KafkaHeaders } from "../propagation.ts";
import { errorTypeOf, failSpan, tracer } from "../span.ts";

/** A record as kafkajs delivers it. */
export interface ConsumedRecord {
  topic: string;
  partition: number;
  offset: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: KafkaHeaders;
  timestamp: string;
}

/**
 * Handles one record inside a `process {topic}` span.
 *
 * @param options.consumerGroup the group's id
 * @param options.location the line where the handler was registered: at delivery no frame of the
 *   service is on the stack
 * @param handle gets the span; whatever it throws marks the span as failed and is thrown on
 */
export async function traceProcess<T>(
  record: ConsumedRecord,
  options: { consumerGroup: string; location?: Attributes | undefined },
  handle: (span: Span) => Promise<T>,
): Promise<T> {
  const creation = extractFromKafka(EMPTY_CONTEXT, record.headers);
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
        ...messagingAttributes("process", record.topic, keyText(record.key)),
        ...group,
        [ATTR_MESSAGING_DESTINATION_PARTITION_ID]: String(record.partition),
        [ATTR_KAFKA_OFFSET]: Number(record.offset),
        ...(record.value === null && { [ATTR_KAFKA_MESSAGE_TOMBSTONE]: true }),
        ...options.location,
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
