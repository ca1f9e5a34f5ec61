/** Kafka records out and in, around any client: this entry imports none. */
export { traceProcess, type ReceivedRecord } from "./consumer.ts";
export { traceCreate, tracePublish, traceSend, type SentRecord } from "./producer.ts";
export type { MessageHeaders, TraceHeaders } from "./words.ts";
