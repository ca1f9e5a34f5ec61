// Logs by hand: one JSON object a line, with the ids of the span it was written in.
import { trace } from "@opentelemetry/api";

// #region log
/** Writes a line. `fields`: what else there is to say, few and without secrets. */
export function log(
  level: "info" | "error",
  message: string,
  fields: Record<string, unknown> = {},
) {
  const spanContext = trace.getActiveSpan()?.spanContext();
  const line = {
    timestamp: new Date().toISOString(),
    level,
    message,
    "service.name": serviceName,
    // From a line to its trace, and back: a search for the id finds every line of an order.
    ...(spanContext && {
      trace_id: spanContext.traceId,
      span_id: spanContext.spanId,
      trace_flags: spanContext.traceFlags.toString(16).padStart(2, "0"),
    }),
    ...fields,
  };
  console.log(JSON.stringify(line));
}
// #endregion log

let serviceName = "unknown_service";

/** Says whose lines they are. */
export function startLogs(name: string): void {
  serviceName = name;
}
