/** What the requests of one route have in common: the span's name, and what their metrics say. */
import type { Attributes } from "@opentelemetry/api";
import {
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_HTTP_ROUTE,
  ATTR_URL_SCHEME,
} from "../attributes.ts";
import { fixed } from "../optional.ts";

/** Routes that are kept; there are as many as a program has registered. */
const ROUTES_MAX = 1_000;

export class Route {
  readonly method: string;
  readonly scheme: string;
  readonly path: string | undefined;
  readonly spanName: string;
  /** Whose present number is counted, whatever the route. */
  readonly activeWord: string;
  readonly #byStatus = new Map<number, Attributes>();

  /** @param path as it was registered; undefined where no route has the request */
  constructor(method: string, scheme: string, path: string | undefined) {
    this.method = method;
    this.scheme = scheme;
    this.path = path;
    this.activeWord = `${scheme} ${method}`;
    const word = method === "_OTHER" ? "HTTP" : method;
    this.spanName = path === undefined ? word : `${word} ${path}`;
  }

  /** What is measured of a request that was answered so. */
  metricAttributes(status: number): Attributes {
    let attributes = this.#byStatus.get(status);
    if (!attributes) {
      attributes = fixed({
        [ATTR_HTTP_REQUEST_METHOD]: this.method,
        [ATTR_URL_SCHEME]: this.scheme,
        [ATTR_HTTP_RESPONSE_STATUS_CODE]: status,
        ...(this.path !== undefined && { [ATTR_HTTP_ROUTE]: this.path }),
        ...(status >= 500 && { [ATTR_ERROR_TYPE]: String(status) }),
      });
      this.#byStatus.set(status, attributes);
    }
    return attributes;
  }
}

const known = new Map<string | undefined, Route[]>();
let knownCount = 0;

/** The route of a request. @param method as knownMethod (known-method.ts) says it */
export function routeOf(method: string, scheme: string, path?: string): Route {
  const routes = known.get(path);
  const found = routes?.find((one) => one.method === method && one.scheme === scheme);
  if (found) return found;
  const route = new Route(method, scheme, path);
  if (knownCount++ < ROUTES_MAX) {
    if (routes) routes.push(route);
    else known.set(path, [route]);
  }
  return route;
}
