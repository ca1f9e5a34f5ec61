/**
 * One HTTP request out: a CLIENT span, the trace context in its headers, and its duration.
 *
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/http/http-spans.md#http-client-span
 */
import { context, SpanKind, trace, type Attributes, type Span } from "@opentelemetry/api";
import {
  ATTR_HTTP_REQUEST_METHOD_ORIGINAL,
  ATTR_HTTP_REQUEST_RESEND_COUNT,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_URL_FULL,
} from "../attributes.ts";
import { callerLocation, showInjected } from "../optional.ts";
import { httpClientRequestDuration } from "../metrics/instruments.ts";
import { injectedHeaders, withTraceHeaders } from "../propagation.ts";
import { redactPath, redactQuery, REDACTED } from "../logs/redact.ts";
import { errorTypeOf } from "../error-text.ts";
import { failSpan, startSpan } from "../span.ts";
import { knownMethod } from "./known-method.ts";
import { peerOf } from "./peer.ts";

/** What Bun's fetch takes as its second argument. */
export type FetchInit = BunFetchRequestInit;

export interface RequestOutOptions {
  /** How often this request was sent before, 0 for the first try. */
  resendCount?: number | undefined;
  /** The caller's line, where the call is made on behalf of it after an `await`. */
  location?: Attributes | undefined;
}

/**
 * Sends one request with `fetch`, and keeps its span open while the answer is read: for a client of
 * one's own, that knows when it has read it all and what a failed answer means. Redirects are fetch's
 * business, under the same span: ask for `redirect: "manual"`.
 *
 * @param input absolute, `http:` or `https:`; a user name, password or secret query parameter in it is
 *   not recorded
 * @param init as fetch takes it; a caller's `traceparent` in it is replaced
 * @param read gets any answer, whatever its status, with the span. 4xx and 5xx have marked it as failed
 *   by then; `failSpan` with the same type gives it a better text
 * @returns what `read` returns
 * @throws what fetch throws and what `read` throws; either marks the span as failed
 */
export async function traceRequestOut<T>(
  input: string | URL | Request,
  init: FetchInit,
  read: (response: Response, span: Span) => T | Promise<T>,
  { resendCount, location = callerLocation() }: RequestOutOptions = {},
): Promise<T> {
  const request = input instanceof Request ? input : undefined;
  const url = input instanceof URL ? input : new URL(request?.url ?? (input as string));
  const method = methodOf(init.method ?? request?.method);
  const peer = peerOf(knownMethod(method), url);
  const parent = context.active();
  const span = startSpan(peer.spanName, SpanKind.CLIENT, parent, () => ({
    shared: peer.attributes,
    own: {
      [ATTR_URL_FULL]: recordableUrl(url),
      ...(peer.method !== method && { [ATTR_HTTP_REQUEST_METHOD_ORIGINAL]: method }),
      ...(resendCount && { [ATTR_HTTP_REQUEST_RESEND_COUNT]: resendCount }),
      ...location,
    },
  }));
  const own = trace.setSpan(parent, span);
  const traceHeaders = injectedHeaders(own);
  showInjected(own, traceHeaders);

  const startedMs = performance.now();
  let status: number | undefined;
  let errorType: string | undefined;
  try {
    const headers = withTraceHeaders(init.headers ?? request?.headers, traceHeaders);
    const response = await fetch(input, { ...init, headers });
    // Noted before the body is there: it may break off.
    status = response.status;
    span.setAttribute(ATTR_HTTP_RESPONSE_STATUS_CODE, status);
    if (status >= 400) {
      errorType = String(status);
      failSpan(span, errorType, `answered ${status}`);
    }
    return await read(response, span);
  } catch (error) {
    errorType = fetchErrorType(error);
    failSpan(span, errorType, error);
    throw error;
  } finally {
    const seconds = (performance.now() - startedMs) / 1000;
    httpClientRequestDuration.record(seconds, peer.metricAttributes(status, errorType));
    span.end();
  }
}

/** The method as it is sent: Bun writes it in capitals, and GET in place of one that it does not know. */
export function methodOf(method = "GET"): string {
  const capital = method.toUpperCase();
  return knownMethod(capital) === capital ? capital : new Request("http://host", { method }).method;
}

/** Bun's connection errors are plain Errors with a `code`, for example `ECONNREFUSED`. */
function fetchErrorType(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : errorTypeOf(error);
}

function recordableUrl({ protocol, username, password, host, pathname, search }: URL): string {
  const user = username || password ? `${REDACTED}:${REDACTED}@` : "";
  const query = search && `?${redactQuery(search.slice(1))}`;
  return `${protocol}//${user}${host}${redactPath(pathname)}${query}`;
}
