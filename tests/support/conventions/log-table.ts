/** Every field that log lines carry. The check and the reference in docs/telemetry.md use it. */

export interface LogField {
  about: string;
  /** On every line, or on every line inside a span. */
  always?: boolean;
}

/** Name → what it says. */
export const LOG_FIELDS: Readonly<Record<string, LogField>> = {
  timestamp: { about: "RFC 3339, UTC, milliseconds", always: true },
  level: { about: "`debug`, `info`, `warn`, `error`", always: true },
  message: { about: "one sentence, the same words each time", always: true },
  "service.name": { about: "as on the resource", always: true },
  trace_id: { about: "of the span the line was written in" },
  span_id: { about: "of that span" },
  trace_flags: { about: "of that span: `01` sampled, `00` not" },
  error: { about: "what went wrong: `{type, message}`, or its text" },
  details: { about: "what the SDK's message was about" },
  host: { about: "where the service listens" },
  port: { about: "where the service listens" },
  checks: { about: "what the service waits for, and why: `{name: reason}`" },
  signal: { about: "what asked the service to stop" },
  faults: { about: "the learning switches that are on" },
  subject: { about: "of the e-mail" },
  outcome: { about: "`sent` or `repeated`" },
  "messaging.consumer.group.name": { about: "the group that the consumer joined" },
  "messaging.destination.partition.id": { about: "where the dead letter's record was" },
  "kafka.offset": { about: "where the dead letter's record was" },
  "orderflow.partitions": { about: "the partitions that the consumer got, separated by commas" },
  "orderflow.attempts": { about: "how often the dead letter's record was tried" },
  "orderflow.retry.delay_ms": { about: "how long it waits before the next try" },
  "orderflow.outage_ms": { about: "how long a dependency was down" },
  "orderflow.order.id": { about: "the order" },
  "orderflow.order.status": { about: "what it was settled as by someone else" },
  "kafkajs.namespace": {
    about: "the part of kafkajs that speaks; further `kafkajs.*` are its own",
  },
  "kafkajs.broker": { about: "" },
  "kafkajs.groupId": { about: "" },
  "kafkajs.topic": { about: "" },
  "kafkajs.partition": { about: "" },
  "kafkajs.retryCount": { about: "" },
  "kafkajs.retryTime": { about: "" },
};
