/**
 * HTTP calls out: one CLIENT span for each try, with the trace context in the request's headers.
 *
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/http/http-spans.md#http-client-span
 */
import { context, SpanKind, trace, type Attributes } from "@opentelemetry/api";
import {
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_REQUEST_RESEND_COUNT,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_URL_FULL,
} from "../attributes.ts";
import { callerLocation, fixedSets, showInjected } from "../optional.ts";
import { httpClientRequestDuration } from "../metrics/instruments.ts";
import { injectedHeaders, withTraceHeaders } from "../propagation.ts";
import { redactPath, redactQuery, REDACTED } from "../logs/redact.ts";
import { errorTypeOf, failSpan, tracer } from "../span.ts";

export interface TracedRequest {
  method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  headers?: Record<string, string>;
  body?: string;
  /** Ends the call with a TimeoutError after so many milliseconds, the reading of the body included. */
  timeoutMs: number;
  /** How often this request was sent before, 0 for the first try. */
  resendCount?: number;
  /** The caller's line, where the call is made on behalf of it after an `await`. */
  location?: Attributes | undefined;
  /** The text that says what a failed response means, taken from its body. */
  errorOf?: (status: number, body: string) => string | undefined;
  /** Whose connections to use, and whose proxy or none. @default those of plain fetch */
  session?: Bun.FetchSession;
}

export interface TracedResponse {
  status: number;
  headers: Headers;
  body: string;
}

/**
 * Sends one HTTP request and reads the whole answer.
 *
 * @param url absolute; a user name, password or secret query parameter in it is not recorded
 * @returns any response, whatever its status; 4xx and 5xx mark the span as failed
 * @throws what fetch throws: TypeError-like connection errors, TimeoutError after `timeoutMs`
 */
export async function tracedFetch(url: string, request: TracedRequest): Promise<TracedResponse> {
  const { method } = request;
  const target = new URL(url);
  const address = target.hostname.replace(/^\[|\]$/g, "");
  const port = Number(target.port) || (target.protocol === "https:" ? 443 : 80);
  const attributes: Attributes = {
    [ATTR_HTTP_REQUEST_METHOD]: method,
    [ATTR_SERVER_ADDRESS]: address,
    [ATTR_SERVER_PORT]: port,
    [ATTR_URL_FULL]: recordableUrl(target),
    ...(request.location ?? callerLocation()),
  };
  if (request.resendCount) attributes[ATTR_HTTP_REQUEST_RESEND_COUNT] = request.resendCount;
  const span = tracer().startSpan(method, { kind: SpanKind.CLIENT, attributes });
  const own = trace.setSpan(context.active(), span);
  const traceHeaders = injectedHeaders(own);
  showInjected(own, traceHeaders);

  const startedMs = performance.now();
  let status: number | undefined;
  let errorType: string | undefined;
  try {
    const response = await fetch(target, {
      method,
      headers: withTraceHeaders(request.headers, traceHeaders),
      ...(request.body === undefined ? {} : { body: request.body }),
      redirect: "manual",
      signal: AbortSignal.timeout(request.timeoutMs),
      session: request.session,
    });
    // Noted before the body is there: it may break off.
    status = response.status;
    span.setAttribute(ATTR_HTTP_RESPONSE_STATUS_CODE, status);
    const body = await response.text();
    if (status >= 400) {
      errorType = String(status);
      failSpan(span, errorType, request.errorOf?.(status, body) ?? `answered ${status}`);
    }
    return { status, headers: response.headers, body };
  } catch (error) {
    errorType = fetchErrorType(error);
    failSpan(span, errorType, error);
    throw error;
  } finally {
    httpClientRequestDuration.record(
      (performance.now() - startedMs) / 1000,
      metricAttributes(
        `${method} ${address} ${port} ${status} ${errorType}`,
        method,
        address,
        port,
        status,
        errorType,
      ),
    );
    span.end();
  }
}

const metricAttributes = fixedSets(
  (method: string, address: string, port: number, status?: number, errorType?: string) => ({
    [ATTR_HTTP_REQUEST_METHOD]: method,
    [ATTR_SERVER_ADDRESS]: address,
    [ATTR_SERVER_PORT]: port,
    ...(status && { [ATTR_HTTP_RESPONSE_STATUS_CODE]: status }),
    ...(errorType && { [ATTR_ERROR_TYPE]: errorType }),
  }),
);

/** Bun's connection errors are plain Errors with a `code`, for example `ConnectionRefused`. */
function fetchErrorType(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : errorTypeOf(error);
}

function recordableUrl({ protocol, username, password, host, pathname, search }: URL): string {
  const user = username || password ? `${REDACTED}:${REDACTED}@` : "";
  const query = search && `?${redactQuery(search.slice(1))}`;
  return `${protocol}//${user}${host}${redactPath(pathname)}${query}`;
}
