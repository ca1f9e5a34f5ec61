/**
 * Redirects, followed by hand: fetch follows them without a word, and each hop is a request of its own
 * that is to have its span. The rules are the Fetch standard's, and the runtime's where that is freer.
 *
 * @see https://fetch.spec.whatwg.org/#http-redirect-fetch
 */
import type { FetchInit } from "./request-out.ts";

/** One request of a chain of redirects. */
export interface Hop {
  input: string | URL | Request;
  init: FetchInit;
}

/** Bun's own bound, where its option `maxRedirects` names no other. */
const REDIRECTS_MAX = 126;

const REDIRECT_STATUSES = new Set([301, 302, 303, 307, 308]);

/** What describes a body goes where the body goes. */
const BODY_HEADERS = [
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-type",
  "transfer-encoding",
];

/** What is meant for one origin, and is told to no other. */
const ORIGIN_HEADERS = ["authorization", "cookie", "host", "proxy-authorization"];

/**
 * Whether the redirects of a request can be followed by hand. A stream can be sent once; what a Request
 * holds may be one, and only the runtime knows. The runtime follows those, all under one span.
 */
export function canFollow({ input, init }: Hop): boolean {
  const body: unknown = init.body ?? (input instanceof Request ? input.body : undefined);
  const isStream = typeof body === "object" && body !== null && Symbol.asyncIterator in body;
  return (init.redirect ?? "follow") === "follow" && !isStream;
}

/** Where an answer leads, as its header has it; undefined where it is the last one. */
export function locationOf({ status, headers }: Response): string | undefined {
  return (REDIRECT_STATUSES.has(status) && headers.get("location")) || undefined;
}

/**
 * The request that a redirect asks for.
 * @param sent what was answered so; a method in it is in capitals
 * @param status 301, 302, 303, 307 or 308
 * @param location relative to what was sent, or absolute
 * @param followed how many redirects led to that answer
 * @throws TypeError with fetch's own `code`, for one too many and for a place that fetch does not go to
 */
export function nextHop(sent: Hop, status: number, location: string, followed: number): Hop {
  const { input, init } = sent;
  const { method = "GET" } = init;
  const from = new URL(input instanceof Request ? input.url : input);
  if (followed >= (init.maxRedirects ?? REDIRECTS_MAX))
    throw redirectError("TooManyRedirects", from);
  const to = targetOf(location, from);

  const next: FetchInit = { ...init, headers: new Headers(init.headers) };
  // A socket's path belongs to the host that it stood for.
  delete next.unix;
  const becomesGet =
    status === 303 ? method !== "HEAD" : (status === 301 || status === 302) && method === "POST";
  if (becomesGet) {
    next.method = "GET";
    delete next.body;
    remove(next, BODY_HEADERS);
  }
  if (to.origin !== from.origin) {
    remove(next, ORIGIN_HEADERS);
    // Nor does the one who redirects choose as whom to call another.
    to.username = to.password = "";
  } else if (!to.username && !to.password) {
    [to.username, to.password] = [from.username, from.password];
  }
  return { input: to, init: next };
}

/** The last answer of a chain says, as fetch's own does, that it is not of the URL that was asked. */
export function markRedirected(response: Response): Response {
  const clone = () => markRedirected(Response.prototype.clone.call(response));
  return Object.defineProperties(response, {
    redirected: { value: true },
    clone: { value: clone, writable: true },
  });
}

function targetOf(location: string, from: URL): URL {
  // A header's bytes come as characters; in a URL they are UTF-8.
  const bytes = Uint8Array.from(location, (character) => character.charCodeAt(0));
  const to = URL.parse(new TextDecoder().decode(bytes), from.href);
  if (!to) throw redirectError("RedirectURLInvalid", from);
  if (!/^https?:$/.test(to.protocol)) throw redirectError("UnsupportedRedirectProtocol", from);
  return to;
}

function redirectError(code: string, { origin, pathname, search }: URL): TypeError {
  const error = new TypeError(`${code}: the answer's redirect cannot be followed`);
  return Object.assign(error, { code, path: origin + pathname + search, errno: 0 });
}

function remove({ headers }: FetchInit, names: readonly string[]): void {
  for (const name of names) (headers as Headers).delete(name);
}
