/**
 * All that is only for speed. The folder may be deleted: everything then works as before, at more cost
 * (docs/benchmarks.md says how much). ORDERFLOW_TELEMETRY_SPEED=off does the same for one process.
 */
export { createTracerProvider } from "./create-tracer-provider.ts";
export { fixed, fixedSets } from "./fixed-attributes.ts";
export { EMPTY_CONTEXT, LinkedContextManager } from "./linked-context.ts";
export { SpeedyTracer } from "./tracer.ts";
export { parseTraceparent } from "./traceparent.ts";
