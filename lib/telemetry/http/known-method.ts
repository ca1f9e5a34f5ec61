/** Which HTTP methods telemetry calls by their names. */

/** RFC 9110, RFC 5789 and QUERY, unless the environment says otherwise. */
const KNOWN_METHODS = new Set(
  (
    process.env["OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"] ||
    "CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,TRACE,QUERY"
  ).split(/\s*,\s*/),
);

/**
 * A method as `http.request.method` has it.
 * @param method in capitals, as it is sent
 * @returns the method, or `_OTHER`: whoever makes methods up must not make series of a metric
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/registry/attributes/http.md
 */
export function knownMethod(method: string): string {
  return KNOWN_METHODS.has(method) ? method : "_OTHER";
}
