// How many spans a process has dropped, from the text of its GET /metrics.

/** Reads otel.sdk.processor.span.processed, the series with an error, from a Prometheus text. */
export function droppedIn(text: string): number {
  let dropped = 0;
  for (const [, labels, value] of text.matchAll(
    /^otel_sdk_processor_span_processed\w*\{([^}]*)\} (\d+)/gm,
  )) {
    if (labels?.includes("error_type=")) dropped += Number(value);
  }
  return dropped;
}
