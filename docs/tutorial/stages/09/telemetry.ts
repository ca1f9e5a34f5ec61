// All signals of a process, started in one place.
import { startLogs } from "./logs.ts";
import { startMetrics } from "./metrics.ts";
import { startTracing } from "./tracing.ts";

/** Called once, before anything else. */
export function startTelemetry(serviceName: string): void {
  startLogs(serviceName);
  startMetrics(serviceName);
  startTracing(serviceName);
}
