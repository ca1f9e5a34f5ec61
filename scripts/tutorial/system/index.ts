/** A stage's programs, running and seen: for `bun run tutorial NN` and for the checks. */
export type { Collector, Signal } from "./collector.ts";
export type { NewRecord, SeenRecord } from "./kafka.ts";
export type { StoppedProgram } from "./programs.ts";
export { ReaderError } from "./reader-error.ts";
export type { Fault, Hop } from "./recording-proxy.ts";
export type { SeenLog, SeenMetric } from "./seen-metric.ts";
export type { Attributes, SeenSpan, SpanKindName } from "./seen-span.ts";
export { startSystem, type ProgramEnv, type SystemOptions } from "./start-system.ts";
export type { Answer, NewOrder, RequestOptions, System } from "./system.ts";
