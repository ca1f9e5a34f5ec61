/** What the requests to one server have in common: the span's name and first attributes, and what is measured. */
import type { Attributes } from "@opentelemetry/api";
import {
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
} from "../attributes.ts";
import { fixed, fixedSets } from "../optional.ts";

/** Servers that are kept; what comes beyond is made anew each time. */
const PEERS_MAX = 1_000;

class Peer {
  readonly method: string;
  readonly spanName: string;
  readonly attributes: Attributes;
  readonly #outcomes = fixedSets((status?: number, errorType?: string) => ({
    ...this.attributes,
    ...(status && { [ATTR_HTTP_RESPONSE_STATUS_CODE]: status }),
    ...(errorType && { [ATTR_ERROR_TYPE]: errorType }),
  }));

  /** @param method as knownMethod (known-method.ts) says it */
  constructor(method: string, { protocol, hostname, port }: URL) {
    this.method = method;
    this.spanName = method === "_OTHER" ? "HTTP" : method;
    this.attributes = fixed({
      [ATTR_HTTP_REQUEST_METHOD]: method,
      [ATTR_SERVER_ADDRESS]: hostname.replace(/^\[|\]$/g, ""),
      [ATTR_SERVER_PORT]: Number(port) || (protocol === "https:" ? 443 : 80),
    });
  }

  /** What is measured of a request that ended so. */
  metricAttributes(status: number | undefined, errorType: string | undefined): Attributes {
    return this.#outcomes(`${status} ${errorType}`, status, errorType);
  }
}

const known = new Map<string, Peer>();

export function peerOf(method: string, url: URL): Peer {
  const key = `${method} ${url.protocol}${url.host}`;
  let peer = known.get(key);
  if (!peer) {
    peer = new Peer(method, url);
    if (known.size < PEERS_MAX) known.set(key, peer);
  }
  return peer;
}
