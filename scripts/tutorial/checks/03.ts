/** The check of stage 03: requests are SERVER spans, below whom their headers name, and called by their routes. */
import { randomHex } from "../../shared/random-hex.ts";
import {
  describe,
  findSpans,
  isBelow,
  oneSpan,
  spanTree,
  traceCount,
  verdict,
  type Claim,
  type StageCheck,
} from "../check/index.ts";
import type { Answer, RequestOptions, SeenSpan, System } from "../system/index.ts";

const SERVICES = ["gateway", "orders"] as const;
const ITEMS = [{ item: "tea", quantity: 1 }];
const AT_ONCE = 10;
const HANG_UP_MS = 100;
const DELAY_MS = 400;
/** A batch goes out after 100 ms; a stage that is not done is not to be waited for in each item. */
const WAIT_MS = 2_500;

export const check: StageCheck = {
  hints: [
    "Whose child a request is stands in its headers. Which span is active must not matter: a request begins where nothing was before.",
    "propagation.extract takes three things: where to begin (ROOT_CONTEXT), what to read (request.headers), and how (a getter). What it gives is the parent for inSpan.",
    'The route: .onTransform({ as: "global" }, nameByRoute) for what gets that far, and plugin.onError({ as: "global" }, nameByRoute) for a body that does not. In orders.ts, .use(traceRequests()) stands before the routes.',
  ],
  items: [
    {
      title: "a request is a SERVER span in each service that it reaches",
      anchor: "#a-span-around-a-request",
      async judge(trial) {
        const system = await trial.system();
        await system.placeOrder();
        const spans = await system.spansWhen((all) =>
          SERVICES.every((service) => postOf(all, service) !== undefined),
        );
        const span = postOf(spans, "orders");
        const claims = SERVICES.flatMap((service): Claim[] => [
          [
            findSpans(spans, { service, kind: "SERVER" }).length > 0,
            `a SERVER span of the ${service}`,
          ],
          [
            postOf(spans, service) !== undefined,
            `the name of the ${service}'s to be POST /orders, the method and the route, and one of them for one request`,
          ],
        ]);
        return verdict(
          {
            did: "POST /orders at the gateway",
            saw: spanTree(
              spans.filter(({ kind, service }) => kind === "SERVER" || service !== "worker"),
              ["http.request.method", "url.path", "http.route", "http.response.status_code"],
            ),
          },
          [
            ...claims,
            [
              span?.attributes["http.request.method"] === "POST" &&
                span.attributes["url.path"] === "/orders" &&
                span.attributes["url.scheme"] === "http",
              "http.request.method, url.path and url.scheme on them",
            ],
            [
              Number(span?.attributes["http.response.status_code"]) === 201,
              "http.response.status_code 201, as a number",
            ],
            [span?.attributes["http.route"] === "/orders", "http.route /orders"],
          ],
        );
      },
    },
    {
      title: "what is done for a request is below its span",
      anchor: "#a-span-around-a-request",
      async judge(trial) {
        const system = await trial.system();
        await system.placeOrder();
        const spans = await system.spansWhen((all) => stepsOf(all).length >= 2, WAIT_MS);
        return verdict(
          {
            did: "POST /orders at the gateway",
            saw: spanTree(findSpans(spans, { service: "orders" })),
          },
          [
            [
              stepsOf(spans).length >= 2,
              "below POST /orders two spans, of storing the order and of publishing the event: the span has to be the active one while the app answers",
            ],
          ],
        );
      },
    },
    {
      title: "a traceparent written by hand becomes the parent",
      anchor: "#a-header-by-hand",
      async judge(trial) {
        const system = await trial.system();
        const parents = { gateway: newParent(), orders: newParent() };
        for (const service of SERVICES) {
          const { traceparent } = parents[service];
          await system.request(service, "GET", "/orders", { headers: { traceparent } });
        }
        const spans = await system.spansWhen(
          (all) => SERVICES.every((service) => belowOf(all, parents[service]).length > 0),
          WAIT_MS,
        );
        return verdict(
          {
            did: SERVICES.map(
              (service) =>
                `GET /orders at the ${service}, traceparent: ${parents[service].traceparent}`,
            ).join("\n"),
            saw: spanTree(findSpans(spans, { kind: "SERVER" })),
          },
          SERVICES.map((service): Claim => {
            const { traceId, spanId } = parents[service];
            return [
              belowOf(spans, parents[service]).some((span) => span.service === service),
              `a SERVER span of ${service} in the trace ${traceId}, its parent ${spanId}: a getter that reads the header, as the default one finds nothing in a Headers object`,
            ];
          }),
        );
      },
    },
    {
      title: "a traceparent that is not as it must be begins a new trace",
      anchor: "#one-letter-wrong",
      async judge(trial) {
        const system = await trial.system();
        const { traceId, traceparent } = newParent();
        const wrong = [
          traceparent.toUpperCase(),
          traceparent.replace(/^00/, "ff"),
          traceparent.replace(traceId, traceId.slice(1)),
          `${traceparent}-more`,
        ];
        for (const each of wrong) {
          const headers = { traceparent: each };
          await system.request("orders", "GET", "/orders", { headers });
        }
        // A later version may have more fields.
        const newer = newParent();
        const later = `01-${newer.traceId}-${newer.spanId}-01-more`;
        await system.request("orders", "GET", "/orders", { headers: { traceparent: later } });
        const spans = await system.spansWhen(
          (all) => served(all, "orders").length > wrong.length && belowOf(all, newer).length > 0,
          WAIT_MS,
        );
        const made = served(spans, "orders").filter(({ traceId }) => traceId !== newer.traceId);
        return verdict(
          {
            did: [...wrong, later]
              .map((each) => `GET /orders at orders, traceparent: ${each}`)
              .join("\n"),
            saw: spanTree(served(spans, "orders")),
          },
          [
            [
              made.length === wrong.length,
              "a SERVER span for each: a bad header is nobody's error",
            ],
            [
              made.every((span) => span.parentSpanId === undefined),
              "the first four to be roots: capitals, version ff, a trace id that is too short, a field too many",
            ],
            [traceCount(made) === wrong.length, "each of the four in a trace of its own"],
            [
              belowOf(spans, newer).length === 1,
              `the last one in the trace ${newer.traceId}: a later version may have more fields. The propagator knows all that`,
            ],
          ],
        );
      },
    },
    {
      title: "a request that names no parent begins a trace of its own",
      anchor: "#what-was-active-when-it-began-to-listen",
      async judge(trial) {
        const system = await trial.system();
        // At the gateway where nothing is: it would go on to orders.
        for (let time = 0; time < 2; time++) {
          await system.request("gateway", "GET", "/nothing");
          await system.request("orders", "GET", "/orders");
        }
        const spans = await system.spansWhen(areAllThere, WAIT_MS);
        const servers = findSpans(spans, { kind: "SERVER" });
        return verdict(
          {
            did: "GET /nothing at the gateway and GET /orders at orders, twice, without a traceparent",
            saw: spanTree(spans),
          },
          [
            [areAllThere(spans), "a SERVER span for each"],
            [
              servers.every(({ parentSpanId }) => parentSpanId === undefined),
              "no parent: what a request is below is for its headers to say, so extraction begins with ROOT_CONTEXT, and not with what is active",
            ],
            [traceCount(servers) === servers.length, "each in a trace of its own"],
          ],
        );
      },
    },
    {
      title: "its name is the method and the route, however many paths there are",
      anchor: "#names-and-routes",
      async judge(trial) {
        const system = await trial.system();
        const ids = Array.from({ length: 5 }, () => Bun.randomUUIDv7());
        for (const id of ids) await system.request("gateway", "GET", `/orders/${id}?page=${id}`);
        const spans = await system.spansWhen(
          (all) => SERVICES.every((service) => served(all, service).length >= ids.length),
          WAIT_MS,
        );
        const servers = SERVICES.flatMap((service) => served(spans, service));
        const names = new Set(servers.map(({ name }) => name));
        const [wrong] = servers.filter(
          ({ attributes }) => attributes["http.route"] !== "/orders/:id",
        );
        return verdict(
          {
            did: `GET /orders/<id> at the gateway, for ${ids.length} ids`,
            saw: `names: ${names.size} different ones\n${servers.map((span) => describe(span, ["http.route", "url.path"])).join("\n")}`,
          },
          [
            [servers.length >= 2 * ids.length, "a SERVER span for each, of gateway and orders"],
            [names.size === 1 && names.has("GET /orders/:id"), "GET /orders/:id for all of them"],
            [wrong === undefined, "http.route /orders/:id on all of them"],
            [
              servers.every(({ attributes }) =>
                ids.some((id) => attributes["url.path"] === `/orders/${id}`),
              ),
              "the path that was asked for in url.path, without its query",
            ],
          ],
        );
      },
    },
    {
      title: "a 5xx is an error, a 4xx is none",
      anchor: "#statuses",
      async judge(trial) {
        const system = await trial.system();
        const asked: (readonly [string, string, RequestOptions])[] = [
          ["GET", `/orders/${Bun.randomUUIDv7()}`, {}],
          ["GET", "/nothing/is/here", {}],
          ["POST", "/orders", { body: { customer: "ada" } }],
          // PostgreSQL takes it for no id, and the handler throws what Bun makes of that.
          ["GET", "/orders/nonsense", {}],
        ];
        const parents = asked.map(newParent);
        const answers: Answer[] = [];
        for (const [index, [method, path, options]] of asked.entries()) {
          const headers = { traceparent: parents[index]?.traceparent ?? "" };
          answers.push(await system.request("orders", method, path, { ...options, headers }));
        }
        const spans = await system.spansWhen(
          (all) => parents.every((parent) => belowOf(all, parent).length > 0),
          WAIT_MS,
        );
        const seen = parents.map((parent, index) => ({
          what: `${asked[index]?.[0]} ${asked[index]?.[1]}`,
          status: answers[index]?.status ?? 0,
          span: belowOf(spans, parent)[0],
        }));
        const lines = seen.map(({ what, status, span }) => {
          const told = span
            ? `a span ${JSON.stringify(span.name)}: ${span.attributes["http.response.status_code"]}, ${span.status}`
            : "no span below the parent that it named";
          return `${what} was answered with ${status}: ${told}`;
        });
        const nothing = seen[1]?.span;
        return verdict({ did: "requests at orders, as seen below", saw: lines.join("\n") }, [
          [
            seen.every(({ span }) => span !== undefined),
            "a SERVER span for each, also where nothing is, where the body is refused and where the handler throws",
          ],
          [
            seen.every(
              ({ status, span }) => span?.attributes["http.response.status_code"] === status,
            ),
            "http.response.status_code as it was answered",
          ],
          ...seen.map(({ status, span }): Claim =>
            status >= 500
              ? [span?.status === "ERROR", `the status ERROR on what was answered with ${status}`]
              : [
                  span?.status === "UNSET",
                  `the status unset on what was answered with ${status}: a 4xx is the caller's mistake`,
                ],
          ),
          [
            nothing?.name === "GET" && !("http.route" in nothing.attributes),
            "the name GET, and no http.route, where nothing is: the path is no route",
          ],
        ]);
      },
    },
    {
      title: "a body that is no JSON has its route's name, too",
      anchor: "#exercise",
      async judge(trial) {
        const system = await trial.system();
        const body = "an order, please";
        for (const service of SERVICES) await post(system, service, { body });
        const spans = await system.spansWhen(
          (all) => SERVICES.every((service) => served(all, service).length > 0),
          WAIT_MS,
        );
        return verdict(
          {
            did: `POST /orders at gateway and orders, the body: ${body}`,
            saw: spanTree(findSpans(spans, { kind: "SERVER" }), ["http.route"]),
          },
          SERVICES.flatMap((service): Claim[] => {
            const [span] = served(spans, service);
            return [
              [span !== undefined, `a SERVER span of ${service}`],
              [
                span?.name === "POST /orders" && span.attributes["http.route"] === "/orders",
                `in ${service} its name to be POST /orders and http.route /orders: it fails before it is transformed, in a hook that knows the route, too`,
              ],
              [span?.status === "UNSET", "its status unset: it is the caller's mistake"],
            ];
          }),
        );
      },
    },
    {
      title: "a request that was hung up and the next one are two traces",
      anchor: "#a-client-that-hangs-up",
      async judge(trial) {
        const system = await trial.system();
        system.disturb("gateway", { delayMs: DELAY_MS, times: 1 });
        const parent = newParent();
        const signal = AbortSignal.timeout(HANG_UP_MS);
        const headers = { traceparent: parent.traceparent };
        const wasHungUp = await post(system, "gateway", { headers, signal }).then(
          () => false,
          () => signal.aborted,
        );
        await system.placeOrder();
        const spans = await system.spansWhen((all) => served(all, "gateway").length >= 2, WAIT_MS);
        const servers = served(spans, "gateway");
        const own = belowOf(servers, parent);
        const others = servers.filter((span) => !own.includes(span));
        return verdict(
          {
            did: `POST /orders at the gateway, traceparent: ${parent.traceparent}, hung up after ${HANG_UP_MS} ms; at once another without a traceparent`,
            saw: spanTree(servers, ["http.response.status_code"]),
            ...(!wasHungUp && { note: "the first one was answered before it was hung up" }),
          },
          [
            [
              own.length === 1,
              "a span of its own for the one that was hung up: it ends when there is an answer, though nobody waits for it any more",
            ],
            [
              others.length === 1 && others[0]?.parentSpanId === undefined,
              "one for the other, in a trace of its own: nothing of a request may outlive it",
            ],
          ],
        );
      },
    },
    {
      title: `${AT_ONCE} requests at once are ${AT_ONCE} traces`,
      anchor: "#a-span-in-a-variable",
      async judge(trial) {
        const system = await trial.system();
        const parents = Array.from({ length: AT_ONCE }, newParent);
        await Promise.all(
          parents.map(({ traceparent }) => post(system, "orders", { headers: { traceparent } })),
        );
        const spans = await system.spansWhen(
          (all) => parents.every((parent) => traceIsWhole(all, parent)),
          WAIT_MS,
        );
        const mixed = parents.find((parent) => !traceIsWhole(spans, parent));
        return verdict(
          {
            did: `${AT_ONCE} POST /orders at orders at the same time, each with a traceparent of its own`,
            saw: mixed
              ? spanTree(spans.filter(({ traceId }) => traceId === mixed.traceId))
              : `${AT_ONCE} traces`,
          },
          [
            [
              mixed === undefined,
              `in the trace of each, also in ${mixed?.traceId}, the span of its own request, and below it what was done for it`,
            ],
          ],
        );
      },
    },
  ],
};

interface Parent {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceparent: string;
}

/** A caller that is not there. Its ids begin with a letter, so that capitals would be others. */
function newParent(): Parent {
  const [traceId, spanId] = [`a${randomHex(16).slice(1)}`, `b${randomHex(8).slice(1)}`];
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-01` };
}

/** Asks for an order, and takes any answer. */
async function post(
  system: System,
  service: "gateway" | "orders",
  { body = { customer: "ada", items: ITEMS }, headers, signal }: RequestOptions,
): Promise<Answer> {
  return await system.request(service, "POST", "/orders", {
    body,
    headers: { "content-type": "application/json", ...headers },
    ...(signal && { signal }),
  });
}

function served(spans: readonly SeenSpan[], service: string): SeenSpan[] {
  return findSpans(spans, { service, kind: "SERVER" });
}

function postOf(spans: readonly SeenSpan[], service: string): SeenSpan | undefined {
  return oneSpan(spans, { service, kind: "SERVER", name: "POST /orders" });
}

/** @returns the spans below the orders service's POST /orders */
function stepsOf(spans: readonly SeenSpan[]): SeenSpan[] {
  const post = postOf(spans, "orders");
  return spans.filter((span) => isBelow(spans, span, post));
}

/** @returns the SERVER spans whose parent is a caller that is not there */
function belowOf(spans: readonly SeenSpan[], { traceId, spanId }: Parent): SeenSpan[] {
  return findSpans(spans, { kind: "SERVER" }).filter(
    (span) => span.traceId === traceId && span.parentSpanId === spanId,
  );
}

/** Whether each of the two services has answered two requests. */
function areAllThere(all: readonly SeenSpan[]): boolean {
  return SERVICES.every((service) => served(all, service).length === 2);
}

/** Whether the caller's trace has one request, and the steps below it. */
function traceIsWhole(all: readonly SeenSpan[], parent: Parent): boolean {
  const [server, ...more] = belowOf(all, parent);
  const steps = all.filter((span) => isBelow(all, span, server));
  return more.length === 0 && steps.length >= 2;
}
