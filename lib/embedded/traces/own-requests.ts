/** Which requests the trace store answers: those that mean this machine, and not another site's pages. */
import { isIP } from "node:net";
import { hostname } from "node:os";

/**
 * Refuses what a page of another site makes a browser send. Such a page cannot read what is on loopback,
 * unless its own name is rebound to 127.0.0.1 (DNS rebinding): the browser then takes the store for that
 * site. The name stands in the request all the same, as its Host or its Origin.
 *
 * @param host that the store listens on; it answers to that name, too
 * @returns the refusal; undefined for a request that is to be answered
 */
export function refuseForeign(request: Request, host: string): Response | undefined {
  const target = request.headers.get("host");
  // HTTP/1.0 has none, and no browser speaks that.
  if (target && !isOwn(nameIn(target), host)) {
    return refused(`the trace store does not answer to the name ${JSON.stringify(target)}`);
  }
  const origin = request.method === "GET" || request.method === "HEAD" ? null : originOf(request);
  if (origin !== null && !isOwn(origin, host)) {
    return refused("the trace store takes nothing from pages of other sites");
  }
  return undefined;
}

/** A request's URL also where it has no Host header, for which Bun gives the path alone. */
export function urlOf({ url }: Request): URL {
  return new URL(url.startsWith("/") ? `http://localhost${url}` : url);
}

/** @returns its name; "" where it has none, as `null` has not; null without the header, as programs send */
function originOf({ headers }: Request): string | null {
  const origin = headers.get("origin");
  return origin && nameIn(/^https?:\/\/(.*)$/i.exec(origin)?.[1] ?? "");
}

/** The name in `name:port`, in lower case; "" where that is malformed. */
function nameIn(target: string): string {
  const [, name = ""] = /^([^\s:/?#@[\],]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.exec(target) ?? [];
  return name.replace(/^\[|\]$|\.$/g, "").toLowerCase();
}

function isOwn(name: string, host: string): boolean {
  return (
    // A rebound name is a name: no address can be one, whichever of this machine's it is.
    isIP(name) !== 0 ||
    name === "localhost" ||
    name.endsWith(".localhost") ||
    (name !== "" && (name === host.toLowerCase() || name === hostname().toLowerCase()))
  );
}

function refused(why: string): Response {
  const text = `${why}; use localhost, or this machine's address\n`;
  return new Response(text, { status: 403 });
}
