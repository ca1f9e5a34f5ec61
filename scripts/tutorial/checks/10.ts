/** The check of stage 10: the same trace as before, made by lib/telemetry, and what it says beyond. */
import {
  childrenOf,
  findSpans,
  inTrace,
  oneSpan,
  parentOf,
  spanTree,
  verdict,
  type StageCheck,
} from "../check/index.ts";
import type { SeenSpan, System } from "../system/index.ts";
import { deadLetterItems } from "./07.ts";

const SERVICES = ["gateway", "orders", "worker"] as const;
const LAYER = "@orderflow/telemetry";
const RETRIES = 2;

export const check: StageCheck = {
  hints: [
    "Take one program at a time, the gateway first: it needs startTelemetry, elysiaTelemetry() and tracedFetch.",
    "traceSql takes the whole client: `const sql = traceSql(new SQL(…))`, then sql.begin as in stage 00. The relay keeps the client that is not traced.",
    "traceProcess wants the record in one object: `traceProcess({ ...message, topic, partition }, { consumerGroup: GROUP }, async (span) => …)`; a dead letter is sent below it by traceSend's `{ parent: context.active() }`.",
  ],
  items: [
    {
      title: "every span of an order is the layer's, and it is still one trace",
      anchor: "#the-gateway",
      async judge(trial) {
        const system = await trial.system();
        await system.placeOrder();
        const spans = await spansOfOrder(system);
        const processes = oneSpan(spans, { service: "worker", kind: "CONSUMER" });
        const ofOrder = inTrace(spans, processes?.traceId);
        const foreign = spans.filter(({ scope }) => scope !== LAYER);
        const patch = oneSpan(ofOrder, { service: "worker", kind: "CLIENT" });
        const create = oneSpan(ofOrder, { service: "orders", kind: "PRODUCER" });
        const post = oneSpan(ofOrder, { service: "orders", kind: "SERVER", name: "POST /orders" });
        const roots = ofOrder.filter((span) => span.parentSpanId === undefined);
        return verdict({ did: "POST /orders at the gateway", saw: treeWithScopes(spans) }, [
          [spans.length > 0, "spans at the collector"],
          ...SERVICES.map(
            (service) =>
              [
                findSpans(spans, { service }).some(({ scope }) => scope === LAYER),
                `spans of ${service} whose instrumentation scope is ${LAYER}: its startTelemetry and adapters`,
              ] as const,
          ),
          [
            foreign.length === 0,
            `no span of another scope: ${foreign[0]?.service} still makes ${JSON.stringify(foreign[0]?.name)} by a file of its own (scope ${foreign[0]?.scope})`,
          ],
          [
            roots.length === 1 && roots[0]?.service === "gateway",
            "one trace, whose root is the gateway's SERVER span",
          ],
          [
            post !== undefined && parentOf(ofOrder, post)?.kind === "CLIENT",
            "the orders service's POST /orders below the gateway's CLIENT span: tracedFetch",
          ],
          [
            create !== undefined && isAround(create, oneSpan(ofOrder, { name: /INSERT.*outbox/i })),
            "a PRODUCER span around the INSERT into the outbox: traceCreate",
          ],
          [
            processes !== undefined && processes.parentSpanId === create?.spanId,
            "the worker's CONSUMER span below the PRODUCER span: traceProcess",
          ],
          [
            patch !== undefined && childrenOf(ofOrder, patch).some(({ kind }) => kind === "SERVER"),
            "the worker's PATCH, and the orders service's span below it",
          ],
        ]);
      },
    },
    {
      title: "each statement is a span, BEGIN and COMMIT too, and the relay's looks are none",
      anchor: "#the-orders-service",
      async judge(trial) {
        const system = await trial.system();
        await system.placeOrder();
        const spans = await spansOfOrder(system);
        const post = oneSpan(spans, { service: "orders", kind: "SERVER", name: "POST /orders" });
        const names = inTrace(spans, post?.traceId)
          .filter(({ attributes }) => "db.query.summary" in attributes || isBracket(attributes))
          .map(({ name }) => name);
        const looks = spans.filter((span) => {
          return span.parentSpanId === undefined && "db.query.text" in span.attributes;
        });
        const has = (name: RegExp) => names.some((one) => name.test(one));
        return verdict(
          {
            did: "POST /orders at the gateway, an order of two items",
            saw: `statements in its trace: ${names.join(", ") || "none"}\nstatements that are a trace of their own: ${[...new Set(looks.map(({ name }) => name))].sort().join(", ") || "none"}`,
          },
          [
            [has(/INSERT.*orders/i), "the INSERT of the order: const sql = traceSql(…)"],
            [
              names.filter((name) => /INSERT.*order_items/i.test(name)).length === 2,
              "an INSERT for each of the two items",
            ],
            [has(/^BEGIN/i) && has(/^COMMIT/i), "BEGIN and COMMIT: sql.begin of the traced client"],
            [
              looks.length === 0,
              "no statement that is a trace of its own: the relay looks into the outbox with the client that is not traced",
            ],
          ],
        );
      },
    },
    {
      title: "a try that is made again says which one it is",
      anchor: "#the-worker",
      async judge(trial) {
        const system = await trial.system();
        system.disturb("worker", { status: 503, times: RETRIES });
        const { id } = await system.placeOrder();
        await system.confirmed(id);
        const spans = await system.spansWhen(
          (seen) =>
            findSpans(seen, { service: "worker", kind: "CLIENT", name: "PATCH" }).length > RETRIES,
        );
        const tries = findSpans(spans, { service: "worker", kind: "CLIENT", name: "PATCH" });
        const counts = tries
          .map(({ attributes }) => Number(attributes["http.request.resend_count"] ?? 0))
          .sort();
        const handled = oneSpan(spans, { service: "worker", kind: "CONSUMER" });
        return verdict(
          {
            did: `POST /orders at the gateway; the worker's first ${RETRIES} requests are answered 503`,
            saw: spanTree(findSpans(spans, { service: "worker" }), ["http.request.resend_count"]),
          },
          [
            [tries.length === RETRIES + 1, `${RETRIES + 1} CLIENT spans of the worker, one a try`],
            [
              counts.join() === "0,1,2",
              "http.request.resend_count 1 and 2 on the second and third: traceRequestOut's resendCount",
            ],
            [handled?.status === "UNSET", "the CONSUMER span is no error: the third try was good"],
          ],
        );
      },
    },
    ...deadLetterItems("#the-worker"),
    {
      title: "the layer says more of a process, and counts more than requests",
      anchor: "#what-you-get-beyond",
      async judge(trial) {
        const system = await trial.system();
        await system.placeOrder();
        await spansOfOrder(system);
        const wanted = [
          "http.server.request.duration",
          "http.client.request.duration",
          "db.client.operation.duration",
          "messaging.process.duration",
        ];
        const names = await system.when(
          () => new Set(system.metrics().map(({ name }) => name)),
          (seen) => wanted.every((name) => seen.has(name)),
        );
        const resources = SERVICES.map(
          (service) => findSpans(system.spans(), { service })[0]?.resource,
        );
        const instances = resources.map((resource) => resource?.["service.instance.id"]);
        const missing = wanted.filter((name) => !names.has(name));
        return verdict(
          {
            did: "POST /orders at the gateway, and waited for metrics",
            saw: `metrics: ${[...names].sort().join(", ") || "none"}\nservice.instance.id: ${instances.join(", ")}`,
          },
          [
            [missing.length === 0, `the metric ${missing[0]}`],
            [
              new Set(instances).size === SERVICES.length && !instances.includes(undefined),
              "a service.instance.id of its own on each process",
            ],
          ],
        );
      },
    },
    {
      title: "each program still ends in time, and sends what is left first",
      anchor: "#the-end-of-a-process",
      async judge(trial) {
        const system = await trial.system({ env: { all: { OTEL_BSP_SCHEDULE_DELAY: "60000" } } });
        const { id } = await system.placeOrder();
        await system.confirmed(id);
        await system.consumed();
        const ends = await system.stop();
        const spans = await system.spansWhen((seen) => lostOf(seen).length === 0);
        const late = ends.find(({ signal }) => signal === "SIGKILL");
        const lost = lostOf(spans);
        return verdict(
          {
            did: "POST /orders at the gateway, then SIGTERM to all three before a batch was due",
            saw: `${spanTree(spans)}\n${ends.map(({ program, ms }) => `${program}.ts ended after ${ms} ms`).join("\n")}`,
          },
          [
            [late === undefined, `${late?.program}.ts ends within 5 s of SIGTERM`],
            [
              lost.length === 0,
              `the spans of ${lost.join(" and ")}: await telemetry.shutdown() at SIGTERM`,
            ],
          ],
        );
      },
    },
  ],
};

/** Until what comes last in an order's trace is there. */
async function spansOfOrder(system: System): Promise<readonly SeenSpan[]> {
  return await system.spansWhen(
    (spans) =>
      spans.some(
        ({ service, name, kind }) =>
          service === "orders" && kind === "SERVER" && name.startsWith("PATCH"),
      ) &&
      findSpans(spans, { service: "worker", kind: "CONSUMER" }).length > 0 &&
      findSpans(spans, { service: "gateway", kind: "SERVER" }).length > 0,
  );
}

function lostOf(spans: readonly SeenSpan[]): string[] {
  return SERVICES.filter((service) => findSpans(spans, { service }).length === 0);
}

/** BEGIN and its kin name no table, so some have no summary. */
function isBracket(attributes: Readonly<Record<string, unknown>>): boolean {
  return /^(?:BEGIN|COMMIT|ROLLBACK)/i.test(String(attributes["db.query.text"] ?? ""));
}

/** Whether a span runs while another does. */
function isAround(outer: SeenSpan, inner: SeenSpan | undefined): boolean {
  return inner !== undefined && inner.startNs >= outer.startNs && inner.endNs <= outer.endNs;
}

/** The tree, and whose the spans are. */
function treeWithScopes(spans: readonly SeenSpan[]): string {
  const scopes = SERVICES.map((service) => {
    const of = new Set(findSpans(spans, { service }).map(({ scope }) => scope));
    return `${service}: ${[...of].join(", ") || "no span"}`;
  });
  return `${spanTree(spans)}\nscopes: ${scopes.join("; ")}`;
}
