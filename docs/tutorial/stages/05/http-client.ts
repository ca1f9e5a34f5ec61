// #region setter
// HTTP out: one CLIENT span a request that is sent, and the headers that make the receiver its child.
import {
  context,
  propagation,
  SpanKind,
  SpanStatusCode,
  type TextMapSetter,
} from "@opentelemetry/api";
import { inSpan } from "./tracing.ts";

const intoHeaders: TextMapSetter<Headers> = {
  set: (headers, name, value) => headers.set(name, value),
};
// #endregion setter

// #region fetch
/** `fetch`, traced. `resendCount`: which try of the same request it is, 0 for the first. */
export async function tracedFetch(
  url: string,
  init: RequestInit = {},
  resendCount = 0,
): Promise<Response> {
  const method = init.method ?? "GET";
  const { hostname, port, protocol } = new URL(url);
  const attributes = {
    "http.request.method": method,
    "url.full": url,
    "server.address": hostname,
    "server.port": Number(port) || (protocol === "https:" ? 443 : 80),
    ...(resendCount > 0 && { "http.request.resend_count": resendCount }),
  };
  return await inSpan(
    method,
    async (span) => {
      const headers = new Headers(init.headers);
      propagation.inject(context.active(), headers, intoHeaders);
      const response = await fetch(url, { ...init, headers });
      span.setAttribute("http.response.status_code", response.status);
      // Whoever asked did not get what it asked for: here a 4xx is a failure, too.
      if (response.status >= 400) span.setStatus({ code: SpanStatusCode.ERROR });
      return response;
    },
    { kind: SpanKind.CLIENT, attributes },
  );
}
// #endregion fetch

// #region retries
const TRIES_MAX = 4;
const PAUSE_MS = 100;

/** Tries again what may go well the next time; each try is a request, so it has a span of its own. */
export async function fetchWithRetries(url: string, init: RequestInit): Promise<Response> {
  for (let resendCount = 0; ; resendCount++) {
    const isLast = resendCount === TRIES_MAX - 1;
    try {
      const response = await tracedFetch(url, init, resendCount);
      if (response.status < 500 || isLast) return response;
    } catch (error) {
      if (isLast) throw error;
    }
    await Bun.sleep(PAUSE_MS * 2 ** resendCount);
  }
}
// #endregion retries
