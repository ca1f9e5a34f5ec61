/** The check of stage 08: requests counted in few series, and lines that name their trace. */
import { findSpans, inTrace, spanTree, verdict, type StageCheck } from "../check/index.ts";
import type { SeenMetric, System } from "../system/index.ts";

const SERVICES = ["gateway", "orders", "worker"] as const;
const SERVER = "http.server.request.duration";
const CLIENT = "http.client.request.duration";
const ORDERS = "shop.orders.created";
const DELAY_MS = 300;
const IDS = 1_000;
const PATHS = 100;
const AT_ONCE = 20;
const SERIES_MAX = 5;
const SHOWN_MAX = 12;
/** Bun lets some methods through that HTTP's conventions do not know. */
const ODD_METHODS = ["PURGE", "PROPFIND", "LINK"];
const METHODS = "CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT QUERY TRACE _OTHER".split(" ");
const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN_ID = "00f067aa0ba902b7";

export const check: StageCheck = {
  hints: [
    "Begin with metrics.ts: a provider with a reader, started before anything is counted. Then http-server.ts counts; http-client.ts is the exercise.",
    "What tracedFetch knows of a request is of three kinds: what span and series both say (method, server), what the span alone says (url.full, resend_count), and what came of it (status, error.type).",
    'recordDuration("http.client.request.duration", startedMs, …) belongs into a `finally` inside the span\'s work: a request that nobody answers has taken its time as well. Its error.type is describe(error).type.',
  ],
  items: [
    {
      title: "a request that comes in is counted, in seconds, by its route",
      anchor: "#requests-in",
      async judge(trial) {
        const system = await trial.system();
        system.disturb("gateway", { delayMs: DELAY_MS, times: 1 });
        const { id } = await system.placeOrder();
        await system.request("gateway", "GET", `/orders/${id}`);
        await system.request("gateway", "GET", `/orders/${crypto.randomUUID()}`);
        await system.request("gateway", "GET", "/nothing");
        const wanted = [
          { service: "gateway", method: "POST", route: "/orders", status: 201 },
          { service: "orders", method: "POST", route: "/orders", status: 201 },
          { service: "gateway", method: "GET", route: "/orders/:id", status: 200 },
          { service: "orders", method: "GET", route: "/orders/:id", status: 200 },
          { service: "gateway", method: "GET", route: "/orders/:id", status: 404 },
          { service: "orders", method: "GET", route: "/orders/:id", status: 404 },
        ];
        const isThere = (points: readonly SeenMetric[], want: (typeof wanted)[number]) =>
          points.some((point) => point.service === want.service && isOf(point, want));
        const points = await seriesWhen(system, SERVER, (seen) =>
          wanted.every((want) => isThere(seen, want)),
        );
        const missing = wanted.find((want) => !isThere(points, want));
        const slow = points.find((point) => point.service === "gateway" && isOf(point, wanted[0]));
        const empty = points.find(
          ({ attributes }) => "http.route" in attributes && !attributes["http.route"],
        );
        return verdict(
          {
            did: `POST /orders at the gateway, and ${DELAY_MS} ms pass before orders gets it; then GET of that order, of one that is not there, and of /nothing`,
            saw: linesOf(points),
          },
          [
            [
              points.length > 0,
              `the metric ${SERVER} at the collector, every OTEL_METRIC_EXPORT_INTERVAL ms (500 here): a MeterProvider with a reader, and a histogram made after it`,
            ],
            [points.every(({ type }) => type === "histogram"), "a histogram"],
            [points.every(({ unit }) => unit === "s"), 'its unit: "s"'],
            [
              missing === undefined,
              `a series of ${missing?.service} with http.request.method=${missing?.method}, http.route=${missing?.route} and http.response.status_code=${missing?.status}`,
            ],
            [
              points.every(({ attributes }) => attributes["url.scheme"] === "http"),
              "url.scheme on each series",
            ],
            [
              empty === undefined,
              "no http.route where nothing was there: an attribute that is undefined is sent, empty; leave it out",
            ],
            [
              slow?.sum !== undefined && slow.sum >= DELAY_MS / 1000 && slow.sum < DELAY_MS / 10,
              `seconds: ${DELAY_MS} ms are ${DELAY_MS / 1000}, and the sum of the gateway's POST /orders is a little more`,
            ],
          ],
        );
      },
    },
    {
      title: "the buckets tell fast requests from slow ones",
      anchor: "#names-units-and-buckets",
      async judge(trial) {
        const system = await trial.system();
        system.disturb("gateway", { delayMs: DELAY_MS, times: 1 });
        await system.placeOrder();
        const points = await seriesWhen(system, SERVER, (seen) => seen.length > 0);
        const bounds = points[0]?.bounds ?? [];
        const below1 = bounds.filter((bound) => bound > 0 && bound < 1);
        const used = new Set(
          points.flatMap(({ buckets = [] }) => buckets.flatMap((n, at) => (n > 0 ? [at] : []))),
        );
        return verdict(
          {
            did: `POST /orders at the gateway, and ${DELAY_MS} ms pass before orders gets it`,
            saw: `the boundaries ${bounds.join(", ") || "of no histogram"}; all requests so far are in ${used.size} of the buckets`,
          },
          [
            [points.length > 0, `the metric ${SERVER}`],
            [
              below1.length >= 4 && (below1[0] ?? 1) <= 0.05 && used.size > 1,
              "boundaries in seconds, 0.005 to 10, as the instrument's advice: nearly all requests take less than one second",
            ],
          ],
        );
      },
    },
    {
      title: "what callers make up makes no series",
      anchor: "#the-path-instead-of-the-route",
      async judge(trial) {
        const system = await trial.system({ fresh: true, programs: ["orders"] });
        await many(IDS, () => system.request("orders", "GET", `/orders/${crypto.randomUUID()}`));
        await many(PATHS, () => system.request("orders", "GET", `/${crypto.randomUUID()}`));
        for (const method of ODD_METHODS) await system.request("orders", method, "/nothing");
        const sent = IDS + PATHS + ODD_METHODS.length;
        const points = await seriesWhen(system, SERVER, (seen) => countOf(seen) >= sent);
        const methods = new Set(points.map(({ attributes }) => attributes["http.request.method"]));
        const odd = [...methods].filter((method) => !METHODS.includes(String(method)));
        return verdict(
          {
            did: `GET /orders/<id> at orders with ${IDS} different ids, GET of ${PATHS} paths that are not there, and ${ODD_METHODS.join(", ")} /nothing`,
            saw: `${countOf(points)} requests in ${points.length} series:\n${linesOf(points)}`,
          },
          [
            [countOf(points) === sent, `${sent} requests counted by ${SERVER}`],
            [
              points.length <= SERIES_MAX,
              `at most ${SERIES_MAX} series: by http.route, and by no path, id or address`,
            ],
            [
              odd.length === 0,
              `http.request.method=_OTHER for a method that the conventions do not know, such as ${odd.join(", ")}`,
            ],
          ],
        );
      },
    },
    {
      title: "each order is counted once it is stored",
      anchor: "#orders",
      async judge(trial) {
        const system = await trial.system();
        await Promise.all([system.placeOrder(), system.placeOrder()]);
        await system.request("gateway", "POST", "/orders", { body: { customer: "" } });
        const [row] = await system.rows<{ stored: number }>(
          "SELECT count(*)::int AS stored FROM orders",
        );
        const stored = row?.stored ?? 0;
        const points = await seriesWhen(system, ORDERS, (seen) => valueOf(seen) >= stored);
        return verdict(
          {
            did: "POST /orders at the gateway, two good ones and one that is refused",
            saw: `${stored} orders in the database so far; ${linesOf(points)}`,
          },
          [
            [points.length > 0, `the metric ${ORDERS} of orders`],
            [points.every(({ type }) => type === "counter"), "a counter"],
            [points.every(({ unit }) => unit === "{order}"), 'its unit: "{order}"'],
            [valueOf(points) === stored, `${stored}, as many as there are`],
          ],
        );
      },
    },
    {
      // JSON lines are what the stage makes, so their fields are looked at; never what else is printed.
      title: "each log line of an order has the ids of the span it was written in",
      anchor: "#the-trace-id-in-every-line",
      async judge(trial) {
        const system = await trial.system();
        const orders = await Promise.all([system.placeOrder(), system.placeOrder()]);
        await Promise.all(orders.map(({ id }) => system.confirmed(id)));
        const traceparent = `00-${TRACE_ID}-${SPAN_ID}-01`;
        await system.produce("order.created", { value: "{", headers: { traceparent } });
        await system.consumed();
        const spans = await system.spansWhen(
          (seen) => findSpans(seen, { service: "worker", kind: "CONSUMER" }).length >= 3,
        );
        const roots = findSpans(spans, { service: "gateway", kind: "SERVER" });
        const wanted = [
          ...roots.flatMap(({ traceId }) => SERVICES.map((service) => ({ service, traceId }))),
          { service: "worker" as const, traceId: TRACE_ID },
        ];
        const has = (lines: readonly Line[], want: (typeof wanted)[number]) =>
          lines.some((line) => line.service === want.service && line.traceId === want.traceId);
        const lines = await system.when(
          () => SERVICES.flatMap((service) => linesIn(system, service)),
          (seen) => wanted.every((want) => has(seen, want)),
        );
        const missing = wanted.find((want) => !has(lines, want));
        const strange = lines.find(
          ({ service, traceId, spanId }) =>
            traceId !== undefined &&
            roots.some((root) => root.traceId === traceId) &&
            !findSpans(inTrace(spans, traceId), { service }).some((one) => one.spanId === spanId),
        );
        const isAside = missing?.traceId === TRACE_ID;
        return verdict(
          {
            did: `POST /orders at the gateway, twice at once, and a record to Kafka that is no JSON, with traceparent ${traceparent}`,
            saw: SERVICES.map(
              (service) => `${service}.ts wrote\n${lastLines(system, service)}`,
            ).join("\n"),
          },
          [
            [roots.length === 2, "two traces that begin at the gateway"],
            [
              missing === undefined,
              `a line of ${missing?.service}.ts, as one JSON object, with "trace_id":"${missing?.traceId}"${isAside ? ", when it puts the record aside" : ""}`,
            ],
            [
              strange === undefined,
              `span_id is that of a span of the same process: ${strange?.service} has no span ${strange?.spanId} in the trace ${strange?.traceId}`,
            ],
          ],
        );
      },
    },
    {
      title: "at the end of a process metrics are sent as well",
      anchor: "#an-end-for-all-signals",
      async judge(trial) {
        // No timer sends anything here: what arrives is what the end sends.
        const env = { OTEL_BSP_SCHEDULE_DELAY: "60000", OTEL_METRIC_EXPORT_INTERVAL: "60000" };
        const system = await trial.system({ env: { all: env } });
        const { id } = await system.placeOrder();
        await system.confirmed(id);
        await system.consumed();
        const ends = await system.stop();
        const spans = await system.spansWhen((seen) => withoutSpans(seen).length === 0);
        const points = system.metrics();
        const late = ends.find(({ signal }) => signal === "SIGKILL");
        const lost = withoutSpans(spans);
        const uncounted = ["gateway", "orders"].filter(
          (program) => !points.some(({ service }) => service === program),
        );
        return verdict(
          {
            did: "POST /orders at the gateway, then SIGTERM to all three before anything was due",
            saw: `${spanTree(spans)}\n${linesOf(points)}`,
          },
          [
            [late === undefined, `${late?.program}.ts ends within 5 s of SIGTERM`],
            [lost.length === 0, `the spans of ${lost.join(" and ")}, sent at SIGTERM`],
            [
              uncounted.length === 0,
              `the metrics of ${uncounted.join(" and ")}, sent at SIGTERM: shutdown of the meter provider`,
            ],
          ],
        );
      },
    },
    {
      title: "a request that is sent is counted, too, also where nobody answers",
      anchor: "#exercise",
      async judge(trial) {
        const system = await trial.system({ fresh: true });
        system.disturb("worker", { status: 503, times: 1 });
        system.disturb("worker", { cut: true, times: 1 });
        const { id } = await system.placeOrder();
        await system.confirmed(id);
        await many(IDS, () => system.request("gateway", "GET", `/orders/${crypto.randomUUID()}`));
        const sent = IDS + 1;
        const points = await seriesWhen(
          system,
          CLIENT,
          (seen) => countOf(of(seen, "gateway")) >= sent && countOf(of(seen, "worker")) >= 3,
        );
        const [gateway, worker] = [of(points, "gateway"), of(points, "worker")];
        const [refused, cut, good] = [503, undefined, 200].map((status) =>
          worker.find(({ attributes }) => attributes["http.response.status_code"] === status),
        );
        const bounds = points[0]?.bounds ?? [];
        return verdict(
          {
            did: `POST /orders at the gateway; the worker's first request is answered 503, its second is cut off; then GET /orders/<id> at the gateway with ${IDS} different ids`,
            saw: linesOf(points),
          },
          [
            [points.length > 0, `the metric ${CLIENT}`],
            [
              points.every(({ type, unit }) => type === "histogram" && unit === "s"),
              'a histogram, its unit "s"',
            ],
            [
              bounds.some((bound) => bound > 0 && bound <= 0.05),
              "the same boundaries as for requests that come in",
            ],
            [
              points.every(
                ({ attributes }) =>
                  attributes["http.request.method"] &&
                  attributes["server.address"] &&
                  attributes["server.port"],
              ),
              "http.request.method, server.address and server.port on each series",
            ],
            [
              gateway.length <= SERIES_MAX,
              `at most ${SERIES_MAX} series of the gateway: url.full is for the span alone`,
            ],
            [countOf(gateway) === sent, `${sent} requests of the gateway`],
            [
              refused?.attributes["error.type"] === "503",
              'the worker\'s first request: http.response.status_code 503, and error.type "503"',
            ],
            [
              typeof cut?.attributes["error.type"] === "string",
              "its second request, that nobody answered: no status, and error.type says what went wrong",
            ],
            [
              good !== undefined && !("error.type" in good.attributes),
              "its third: http.response.status_code 200, and no error.type",
            ],
          ],
        );
      },
    },
  ],
};

/** Waits until the series of a metric, of all processes, satisfy. */
async function seriesWhen(
  system: System,
  name: string,
  condition: (points: readonly SeenMetric[]) => boolean,
): Promise<readonly SeenMetric[]> {
  const series = () => system.metrics().filter((point) => point.name === name);
  return await system.when(series, condition);
}

function isOf(
  { attributes }: SeenMetric,
  want?: { method: string; route: string; status: number },
): boolean {
  return (
    want !== undefined &&
    attributes["http.request.method"] === want.method &&
    attributes["http.route"] === want.route &&
    attributes["http.response.status_code"] === want.status
  );
}

function of(points: readonly SeenMetric[], program: string): SeenMetric[] {
  return points.filter(({ service }) => service === program);
}

function countOf(points: readonly SeenMetric[]): number {
  return points.reduce((sum, { count = 0 }) => sum + count, 0);
}

function valueOf(points: readonly SeenMetric[]): number {
  return points.reduce((sum, { value = 0 }) => sum + value, 0);
}

/** Asks again and again, some at once. */
async function many(times: number, ask: () => Promise<unknown>): Promise<void> {
  let asked = 0;
  const askSome = async () => {
    while (asked++ < times) await ask();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, askSome));
}

/** Series, one a line. */
function linesOf(points: readonly SeenMetric[]): string {
  const lines = points.map(({ service, name, unit, attributes, count, sum, value }) => {
    const measured = value ?? `count ${count}, sum ${sum?.toFixed(3)} ${unit}`;
    return `${service} ${name} (${unit || "no unit"}) ${JSON.stringify(attributes)}: ${measured}`;
  });
  const left = lines.length - SHOWN_MAX;
  const shown = [...lines.slice(0, SHOWN_MAX), ...(left > 0 ? [`and ${left} more`] : [])];
  return shown.join("\n") || "no such metric";
}

/** A log line's fields, as far as they are looked at. */
interface Line {
  readonly service: string;
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
}

/** What a program wrote as JSON, and what it sent over OTLP. */
function linesIn(system: System, service: (typeof SERVICES)[number]): Line[] {
  const written = system.output(service).map(fieldsOf);
  const fields = written.map(({ trace_id: traceId, span_id: spanId }) => ({
    service,
    traceId: traceId === undefined ? undefined : String(traceId),
    spanId: spanId === undefined ? undefined : String(spanId),
  }));
  return [...fields, ...system.logs().filter((log) => log.service === service)];
}

function fieldsOf(line: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(line)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

function lastLines(system: System, service: (typeof SERVICES)[number]): string {
  const lines = system.output(service).slice(-3);
  return lines.map((line) => `  ${line}`).join("\n") || "  nothing";
}

function withoutSpans(spans: Parameters<typeof findSpans>[0]): string[] {
  return SERVICES.filter((service) => findSpans(spans, { service }).length === 0);
}
