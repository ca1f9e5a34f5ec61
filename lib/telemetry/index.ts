/** Tracing, metrics and logs for a program on Bun, set up by hand. Start with `startTelemetry`. */
export { logger } from "./logs/logger.ts";
export { startTelemetry, type Telemetry } from "./setup/start-telemetry.ts";
export { failSpan, inSpan, tracer } from "./span.ts";
