// #region setter
// HTTP out: one CLIENT span a request that is sent, and the headers that make the receiver its child.
import {
  context,
  propagation,
  SpanKind,
  type Attributes,
  type TextMapSetter,
} from "@opentelemetry/api";
import { describe, failSpan } from "./errors.ts";
import { recordDuration } from "./metrics.ts";
import { inSpan } from "./tracing.ts";

const intoHeaders: TextMapSetter<Headers> = {
  set: (headers, name, value) => headers.set(name, value),
};
// #endregion setter

// #region fetch
/** `fetch`, traced and counted. `resendCount`: which try of the same request it is, 0 for the first. */
export async function tracedFetch(
  url: string,
  init: RequestInit = {},
  resendCount = 0,
): Promise<Response> {
  const startedMs = performance.now();
  const { hostname, port, protocol } = new URL(url);
  const shared = {
    "http.request.method": init.method ?? "GET",
    "server.address": hostname,
    "server.port": Number(port) || (protocol === "https:" ? 443 : 80),
  };
  const own = {
    "url.full": url,
    ...(resendCount > 0 && { "http.request.resend_count": resendCount }),
  };
  /** What came of it: of few different values as well. */
  const outcome: Attributes = {};
  return await inSpan(
    shared["http.request.method"],
    async (span) => {
      try {
        const headers = new Headers(init.headers);
        propagation.inject(context.active(), headers, intoHeaders);
        const response = await fetch(url, { ...init, headers });
        const { status } = response;
        outcome["http.response.status_code"] = status;
        span.setAttribute("http.response.status_code", status);
        // Whoever asked did not get what it asked for: here a 4xx is a failure, too.
        if (status >= 400) {
          outcome["error.type"] = String(status);
          failSpan(span, { type: String(status), text: `${hostname} answered ${status}` });
        }
        return response;
      } catch (error) {
        outcome["error.type"] = describe(error).type;
        throw error;
      } finally {
        recordDuration("http.client.request.duration", startedMs, { ...shared, ...outcome });
      }
    },
    { kind: SpanKind.CLIENT, attributes: { ...shared, ...own } },
  );
}
// #endregion fetch
