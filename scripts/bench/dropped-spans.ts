// How many spans a process has dropped, from the text of its GET /metrics.

/** Reads otel.sdk.processor.span.processed by `error.type`. */
export function droppedByReason(text: string): Map<string, number> {
  const dropped = new Map<string, number>();
  for (const [, labels, value] of text.matchAll(
    /^otel_sdk_processor_span_processed\w*\{([^}]*)\} (\d+)/gm,
  )) {
    const reason = /error_type="([^"]*)"/.exec(labels ?? "")?.[1];
    if (reason) dropped.set(reason, (dropped.get(reason) ?? 0) + Number(value));
  }
  return dropped;
}

/** All of them, whatever the reason. */
export function droppedIn(text: string): number {
  return droppedByReason(text)
    .values()
    .reduce((sum, count) => sum + count, 0);
}
