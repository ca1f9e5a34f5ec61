/** The check of stage 04: calls are CLIENT spans, what they call is below them, and each try is one of its own. */
import {
  childrenOf,
  describe,
  findSpans,
  inTrace,
  isBelow,
  parentOf,
  spanTree,
  traceCount,
  verdict,
  type StageCheck,
} from "../check/index.ts";
import type { Hop, SeenSpan } from "../system/index.ts";

const AT_ONCE = 10;
const REFUSALS = 2;
/** A batch goes out after 100 ms; a stage that is not done is not to be waited for in each item. */
const WAIT_MS = 2_500;
/** The pauses between four tries, and then some. */
const TRIES_MS = 4_000;

export const check: StageCheck = {
  hints: [
    "What the receiver is below stands in the header that it gets. So the header has to be made when the span of the call is the active one, and anew for each call.",
    "In the span: `const headers = new Headers(init.headers)`, then `propagation.inject(context.active(), headers, intoHeaders)`, then fetch with these headers. In the worker the loop is outside the span: one tracedFetch a try.",
    "`for (let resendCount = 0; ; resendCount++)`: try { const response = await tracedFetch(url, init, resendCount); return it unless it is a 5xx and not the last } catch { throw where it was the last }; then sleep 100 ms × 2 ** resendCount.",
  ],
  items: [
    {
      title: "a request that is handed on is one trace, through a CLIENT span",
      anchor: "#a-span-around-a-call",
      async judge(trial) {
        const system = await trial.system();
        await system.request("gateway", "GET", "/orders");
        const spans = await system.spansWhen(bothAnswered);
        const [client] = findSpans(spans, { service: "gateway", kind: "CLIENT" });
        const [server] = findSpans(spans, { service: "orders", kind: "SERVER" });
        const [hop] = system.hops();
        return verdict(
          {
            did: "GET /orders at the gateway, which asks orders",
            saw: [
              `${traceCount(spans)} traces`,
              spanTree(spans),
              `to orders went ${hop ? header(hop, "traceparent") : "nothing"}`,
            ].join("\n"),
          },
          [
            [client !== undefined, "a CLIENT span of the gateway"],
            [
              client && parentOf(spans, client)?.kind === "SERVER",
              "it to be below the gateway's SERVER span",
            ],
            [server !== undefined, "a SERVER span of orders"],
            [
              server?.traceId === client?.traceId,
              "the two in one trace: propagation.inject writes the header that the orders service reads",
            ],
            [
              server?.parentSpanId === client?.spanId,
              "the orders service's span below the CLIENT span: inject inside the span of the call, where it is the active one",
            ],
          ],
        );
      },
    },
    {
      title: "the header names the span that sends it, and what the caller sent is still there",
      anchor: "#how-a-header-is-written",
      async judge(trial) {
        const system = await trial.system();
        const { id } = await system.placeOrder();
        const spans = await system.spansWhen(
          (all) => findSpans(all, { service: "gateway", kind: "CLIENT" }).length > 0,
          WAIT_MS,
        );
        const [client] = findSpans(spans, { service: "gateway", kind: "CLIENT" });
        const hop = system.hops().find(({ from }) => from === "gateway");
        const written = hop ? valuesOf(hop, "traceparent") : [];
        const [type = ""] = hop ? valuesOf(hop, "content-type") : [];
        return verdict(
          {
            did: `POST /orders at the gateway, which made the order ${id}`,
            saw: [
              client
                ? `the CLIENT span ${client.spanId} of trace ${client.traceId}`
                : "no CLIENT span",
              hop
                ? `${header(hop, "traceparent")}\n${header(hop, "content-type")}`
                : "no request to orders",
            ].join("\n"),
          },
          [
            [client !== undefined, "a CLIENT span of the gateway"],
            [
              written.length === 1 && written[0] === traceparentOf(client),
              `one header traceparent: ${client ? traceparentOf(client) : "of the CLIENT span"}`,
            ],
            [
              type.startsWith("application/json"),
              "content-type: application/json, as the gateway sets it",
            ],
          ],
        );
      },
    },
    {
      title: "its name is the method, whatever the URL",
      anchor: "#the-url-as-a-name",
      async judge(trial) {
        const system = await trial.system();
        const ids = Array.from({ length: 5 }, () => Bun.randomUUIDv7());
        for (const id of ids) await system.request("gateway", "GET", `/orders/${id}`);
        const spans = await system.spansWhen(
          (all) => findSpans(all, { service: "gateway", kind: "CLIENT" }).length >= ids.length,
          WAIT_MS,
        );
        const clients = findSpans(spans, { service: "gateway", kind: "CLIENT" });
        const names = new Set(clients.map(({ name }) => name));
        const lines = clients.map((span) => describe(span, ["url.full"]));
        const hasUrl = (id: string) =>
          clients.some(({ attributes }) =>
            String(attributes["url.full"]).endsWith(`/orders/${id}`),
          );
        const [first] = clients;
        return verdict(
          {
            did: `GET /orders/<id> at the gateway, for ${ids.length} ids`,
            saw: [`names: ${names.size} different ones`, ...lines].join("\n"),
          },
          [
            [clients.length >= ids.length, "a CLIENT span for each"],
            [
              names.size === 1 && names.has("GET"),
              "GET for all of them: a URL is a name for one call alone",
            ],
            [ids.every(hasUrl), "the URL of each in url.full"],
            [
              first?.attributes["http.request.method"] === "GET" &&
                typeof first.attributes["server.address"] === "string" &&
                Number(first.attributes["server.port"]) > 0,
              "http.request.method, server.address and server.port on them",
            ],
          ],
        );
      },
    },
    {
      title: "whoever calls, and does not get what it asked for, has an error",
      anchor: "#whose-error-a-404-is",
      async judge(trial) {
        const system = await trial.system();
        const { status } = await system.request("gateway", "GET", `/orders/${Bun.randomUUIDv7()}`);
        const refused = await system.spansWhen((all) => requestsAt(all).length >= 1, WAIT_MS);
        // More than once: Bun sends a GET again by itself.
        system.disturb("gateway", { cut: true, times: 3 });
        await system.request("gateway", "GET", "/orders");
        const all = await system.spansWhen((all) => requestsAt(all).length >= 2, WAIT_MS);
        const lost = all.filter((span) => !refused.includes(span));
        const [client] = findSpans(refused, { service: "gateway", kind: "CLIENT" });
        const servers = findSpans(refused, { kind: "SERVER" });
        const [unanswered] = findSpans(lost, { service: "gateway", kind: "CLIENT" });
        const shown = ["http.response.status_code"];
        return verdict(
          {
            did: "GET /orders/<unknown id> at the gateway; then GET /orders, and orders hangs up on the gateway",
            saw: `it answered ${status}\n${spanTree(refused, shown)}\n${spanTree(lost, shown)}`,
          },
          [
            [client !== undefined, "a CLIENT span of the gateway"],
            [
              client?.attributes["http.response.status_code"] === status,
              `http.response.status_code ${status} on it`,
            ],
            [client?.status === "ERROR", "the status ERROR on the gateway's CLIENT span"],
            [
              servers.every((span) => span.status === "UNSET"),
              "the status unset on the SERVER spans: they did their work",
            ],
            [
              unanswered?.status === "ERROR",
              "a CLIENT span with the status ERROR also where no answer came",
            ],
          ],
        );
      },
    },
    {
      title: "tracestate and baggage go on",
      anchor: "#baggage",
      async judge(trial) {
        const system = await trial.system();
        const headers = {
          traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
          tracestate: "shop=checkout-7",
          baggage: "tenant=acme",
        };
        await system.request("gateway", "GET", "/orders", { headers });
        const [hop] = system.hops();
        const saw = hop
          ? Object.keys(headers)
              .map((name) => header(hop, name))
              .join("\n")
          : "no request to orders";
        return verdict(
          {
            did: [
              "GET /orders at the gateway",
              ...Object.entries(headers).map((pair) => pair.join(": ")),
            ].join("\n"),
            saw: `to orders went\n${saw}`,
          },
          [
            [
              hop && valuesOf(hop, "traceparent")[0]?.includes("4bf92f3577b34da6a3ce929d0e0e4736"),
              "a traceparent of the same trace",
            ],
            [hop && valuesOf(hop, "tracestate")[0] === headers.tracestate, "the same tracestate"],
            [
              hop && valuesOf(hop, "baggage")[0]?.startsWith("tenant=acme"),
              "the same baggage: a W3CBaggagePropagator beside the one for the trace",
            ],
          ],
        );
      },
    },
    {
      title: `${AT_ONCE} requests at once are ${AT_ONCE} traces, each with its own call`,
      anchor: "#200-calls-at-once",
      async judge(trial) {
        const system = await trial.system();
        await Promise.all(
          Array.from({ length: AT_ONCE }, () => system.request("gateway", "GET", "/orders")),
        );
        const spans = await system.spansWhen(
          (all) =>
            requestsAt(all).length === AT_ONCE &&
            requestsAt(all).every((root) => isWhole(all, root)),
          WAIT_MS,
        );
        const mixed = requestsAt(spans).find((root) => !isWhole(spans, root));
        return verdict(
          {
            did: `${AT_ONCE} GET /orders at the gateway, at the same time`,
            saw: mixed ? spanTree(inTrace(spans, mixed.traceId)) : `${traceCount(spans)} traces`,
          },
          [
            [requestsAt(spans).length === AT_ONCE, `${AT_ONCE} SERVER spans of the gateway`],
            [
              mixed === undefined,
              "below each one CLIENT span, and below that one SERVER span of orders",
            ],
          ],
        );
      },
    },
    {
      title: "each try of the worker's is a span of its own, and its header names that span",
      anchor: "#exercise",
      async judge(trial) {
        const system = await trial.system();
        system.disturb("worker", { status: 503, times: REFUSALS });
        const { id } = await system.placeOrder();
        const isConfirmed = await system.confirmed(id, TRIES_MS);
        const spans = await system.spansWhen(
          (all) => triesIn(all).length > REFUSALS && handlingsIn(all).length > 0,
          WAIT_MS,
        );
        const tries = triesIn(spans);
        const hops = system.hops().filter(({ from }) => from === "worker");
        const written = hops.map((hop) => valuesOf(hop, "traceparent").join(" and "));
        const counts = tries.map(({ attributes }) => attributes["http.request.resend_count"]);
        const shown = ["http.response.status_code", "http.request.resend_count"];
        const [handling] = handlingsIn(spans);
        return verdict(
          {
            did: `POST /orders at the gateway; the worker's first ${REFUSALS} requests are answered 503`,
            saw: [
              `the order is ${isConfirmed ? "" : "not "}confirmed`,
              spanTree(
                spans.filter(
                  (span) =>
                    span.service === "worker" || tries.includes(parentOf(spans, span) ?? span),
                ),
                shown,
              ),
              ...hops.map((hop) => `to orders went ${header(hop, "traceparent")}`),
            ].join("\n"),
          },
          [
            [
              isConfirmed,
              "the order confirmed in the end: what is answered with a 5xx is tried again",
            ],
            [
              tries.length === REFUSALS + 1,
              `${REFUSALS + 1} CLIENT spans of the worker, one a try`,
            ],
            [
              tries.every((one) => written.includes(traceparentOf(one))) &&
                new Set(written).size === REFUSALS + 1,
              "the traceparent of each to name its own span",
            ],
            [
              tries.filter(({ status }) => status === "ERROR").length === REFUSALS &&
                tries.at(-1)?.status === "UNSET",
              "the status ERROR on those that were refused, and on no other",
            ],
            [
              counts[0] === undefined || counts[0] === 0,
              "no http.request.resend_count on the first, as nothing was sent again",
            ],
            [
              counts.slice(1).join() === "1,2",
              "http.request.resend_count 1 and 2 on the second and the third",
            ],
            [
              handling !== undefined && tries.every((one) => isBelow(spans, one, handling)),
              "all of them below the span of the event",
            ],
            [
              tries.at(-1) !== undefined &&
                childrenOf(spans, tries.at(-1) as SeenSpan).some(({ kind }) => kind === "SERVER"),
              "below the last one the SERVER span of orders",
            ],
          ],
        );
      },
    },
    {
      title: "what never got an answer is tried again, what was answered with a 4xx is not",
      anchor: "#exercise",
      async judge(trial) {
        const system = await trial.system();
        system.disturb("worker", { cut: true, times: 1 });
        const cut = await system.placeOrder();
        const isConfirmed = await system.confirmed(cut.id, TRIES_MS);
        const first = system.hops().filter(({ from }) => from === "worker").length;
        system.disturb("worker", { status: 404, times: 1 });
        await system.placeOrder();
        await system.consumed();
        await system.spansWhen((all) => triesIn(all).length > first, WAIT_MS);
        const tries = triesIn(system.spans());
        const second = system.hops().filter(({ from }) => from === "worker").length - first;
        return verdict(
          {
            did: "two orders; on the worker's first request for the one orders hangs up, that for the other is answered 404",
            saw: [
              `the first order is ${isConfirmed ? "" : "not "}confirmed, after ${first} requests`,
              `for the second there were ${second} requests`,
              ...tries.map((one) =>
                describe(one, ["http.response.status_code", "http.request.resend_count"]),
              ),
            ].join("\n"),
          },
          [
            [isConfirmed && first === 2, "two requests for the first, and the order confirmed"],
            [
              tries.filter(({ status }) => status === "ERROR").length >= 2,
              "the status ERROR on the span of the try that got no answer",
            ],
            [second === 1, "one request for the second: what is wrong stays wrong"],
          ],
        );
      },
    },
    {
      title: "there is an end to it after four tries",
      anchor: "#exercise",
      async judge(trial) {
        const system = await trial.system({ fresh: true });
        system.disturb("worker", { status: 503, times: 20 });
        await system.placeOrder();
        const requests = () => system.hops().filter(({ from }) => from === "worker");
        await system.when(requests, (all) => all.length >= 4, TRIES_MS);
        const spans = await system.spansWhen((all) => triesIn(all).length >= 4, WAIT_MS);
        const { length } = requests();
        const startedMs = requests().map(({ startedMs }) => startedMs);
        const pauses = startedMs
          .slice(1, 4)
          .map((at, index) => Math.round(at - (startedMs[index] ?? 0)));
        const tries = triesIn(spans).slice(0, 4);
        return verdict(
          {
            did: "POST /orders at the gateway; all that the worker asks is answered 503",
            saw: `${length} requests${pauses.length > 0 ? `, ${pauses.join(", ")} ms after one another` : ""}\n${spanTree(triesIn(spans), ["http.request.resend_count"])}`,
          },
          [
            [tries.length === 4, "four tries, each a CLIENT span"],
            [
              new Set(tries.map(({ parentSpanId }) => parentSpanId)).size === 1,
              "all four below the same span, that of the event",
            ],
            [
              tries.map(({ attributes }) => attributes["http.request.resend_count"] ?? 0).join() ===
                "0,1,2,3",
              "http.request.resend_count 1, 2 and 3 on those after the first, and no fifth try",
            ],
            [
              pauses.every((ms, index) => ms >= 90 * 2 ** index),
              "pauses of 100, 200 and 400 ms between them",
            ],
          ],
        );
      },
    },
  ],
};

/** @returns the worker's calls, the first one first */
function triesIn(spans: readonly SeenSpan[]): SeenSpan[] {
  return findSpans(spans, { service: "worker", kind: "CLIENT" }).toSorted((a, b) =>
    Number(a.startNs - b.startNs),
  );
}

/** @returns the roots of the worker that have calls below them */
function handlingsIn(spans: readonly SeenSpan[]): SeenSpan[] {
  const tries = triesIn(spans);
  return findSpans(spans, { service: "worker" }).filter(
    (span) => span.kind !== "CLIENT" && tries.some((one) => isBelow(spans, one, span)),
  );
}

function traceparentOf(span: SeenSpan | undefined): string {
  return span ? `00-${span.traceId}-${span.spanId}-01` : "";
}

function valuesOf({ headers }: Hop, name: string): string[] {
  return headers.flatMap(([one, value]) => (one.toLowerCase() === name ? [value] : []));
}

function header(hop: Hop, name: string): string {
  const values = valuesOf(hop, name);
  return values.length === 0 ? `no ${name}` : values.map((value) => `${name}: ${value}`).join("\n");
}

function bothAnswered(all: readonly SeenSpan[]): boolean {
  return findSpans(all, { kind: "SERVER" }).length >= 2;
}

/** What came in at the gateway. */
function requestsAt(all: readonly SeenSpan[]): SeenSpan[] {
  return findSpans(all, { service: "gateway", kind: "SERVER" });
}

/** Whether one call and one request are below it, the one below the other. */
function isWhole(all: readonly SeenSpan[], root: SeenSpan): boolean {
  const below = inTrace(all, root.traceId).filter((span) => isBelow(all, span, root));
  const clients = findSpans(below, { kind: "CLIENT" });
  const servers = findSpans(below, { kind: "SERVER" });
  return (
    clients.length === 1 && servers.length === 1 && servers[0]?.parentSpanId === clients[0]?.spanId
  );
}
