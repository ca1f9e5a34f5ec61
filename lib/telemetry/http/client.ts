/** HTTP calls out: `fetch`, with a CLIENT span for each request that is sent, redirects included. */
import { callerLocation } from "../optional.ts";
import { canFollow, locationOf, markRedirected, nextHop, type Hop } from "./redirect.ts";
import { methodOf, traceRequestOut, type FetchInit } from "./request-out.ts";

export { traceRequestOut, type FetchInit, type RequestOutOptions } from "./request-out.ts";

/**
 * `fetch`, traced: the same arguments, answers and errors, Bun's extensions included.
 *
 * The span ends as soon as the answer's head is there, as the conventions advise where the caller may
 * never read the body: streams stay streams, and no span waits for a reader. What befalls the body
 * later is the reader's error. 4xx and 5xx mark the span as failed; an abort and a time limit do so
 * before the head. Each redirect is followed under a span of its own, unless the request's body is a
 * stream, or a Request's, which may be one: those fetch follows, all under one span. What is no HTTP
 * (`data:`, `file:`, …) has no span.
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/http/http-spans.md#http-client-span-duration
 */
export const tracedFetch: typeof fetch = Object.assign(fetchWithSpans, {
  preconnect: fetch.preconnect,
});

async function fetchWithSpans(input: string | URL | Request, init?: FetchInit): Promise<Response> {
  const location = callerLocation();
  const url = URL.parse(input instanceof Request ? input.url : String(input));
  // What is no URL at all is fetch's to refuse.
  if (!url || !/^https?:$/.test(url.protocol)) return fetch(input, init);
  let hop: Hop = { input: input instanceof Request ? input : url, init: settingsOf(input, init) };
  const byHand = canFollow(hop);
  if (byHand) hop.init.redirect = "manual";
  for (let resendCount = 0; ; resendCount++) {
    const sent = hop;
    const read = async (response: Response): Promise<Response | Hop> => {
      const leadsTo = byHand ? locationOf(response) : undefined;
      if (leadsTo === undefined) return response;
      // Nobody reads it: that it broke off is nobody's error.
      await response.body?.cancel().catch(() => {});
      return nextHop(sent, response.status, leadsTo, resendCount);
    };
    const outcome = await traceRequestOut(sent.input, sent.init, read, { resendCount, location });
    if (outcome instanceof Response) return resendCount > 0 ? markRedirected(outcome) : outcome;
    hop = outcome;
  }
}

/** All that was asked for in one object: by a Request as well, and what `init` only inherits. */
function settingsOf(input: string | URL | Request, init: FetchInit | undefined): FetchInit {
  const settings: Record<string, unknown> = {};
  if (input instanceof Request) {
    const { method, headers, signal, redirect } = input;
    Object.assign(settings, { method, headers, signal, redirect });
  }
  for (const key in init) {
    const value = init[key as keyof FetchInit];
    if (value !== undefined) settings[key] = value;
  }
  if (settings["method"] !== undefined) settings["method"] = methodOf(String(settings["method"]));
  return settings;
}
