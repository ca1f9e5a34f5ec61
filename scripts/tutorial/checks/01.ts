/** The check of stage 01: each process sends one span of its own, and loses none at its end. */
import { findSpans, msOf, spanTree, verdict, type StageCheck } from "../check/index.ts";
import type { SeenSpan } from "../system/index.ts";

const SERVICES = ["gateway", "orders", "worker"] as const;
const TIMER_TOLERANCE_MS = 10;

export const check: StageCheck = {
  hints: [
    "A span leaves its process through a provider: is startTracing called in all three programs?",
    'Whose span it is stands in the provider\'s resource: `resourceFromAttributes({ "service.name": … })`.',
    "At SIGTERM the batch has to be sent before the process ends: await provider.shutdown(), then process.exit(0).",
  ],
  items: [
    {
      title: "an order makes a span in each of the three processes",
      anchor: "#one-span",
      async judge(trial) {
        const system = await trial.system();
        await system.placeOrder();
        const spans = await system.spansWhen(hasAll);
        const missing = SERVICES.filter((service) => findSpans(spans, { service }).length === 0);
        return verdict({ did: "POST /orders at the gateway", saw: spanTree(spans) }, [
          [
            spans.length > 0,
            "a span at the collector, whose address is OTEL_EXPORTER_OTLP_ENDPOINT: startTracing, a span, and its end",
          ],
          [
            findSpans(spans, { service: "" }).length + unnamed(spans).length === 0,
            "each process says who it is: `service.name` in the resource of its provider",
          ],
          [
            missing.length === 0,
            `a span of ${missing.join(" and of ")}, too: startTracing there, and a span that is ended`,
          ],
        ]);
      },
    },
    {
      title: "a span is open as long as its work takes",
      anchor: "#one-span",
      async judge(trial) {
        const system = await trial.system();
        const delayMs = 300;
        system.disturb("gateway", { delayMs, times: 1 });
        await system.placeOrder();
        const spans = await system.spansWhen(hasAll);
        const took = findSpans(spans, { service: "gateway" }).map(msOf);
        return verdict(
          {
            did: `POST /orders at the gateway, and ${delayMs} ms pass before orders gets it`,
            saw:
              took.map((ms) => `a span of the gateway of ${ms} ms`).join("\n") || spanTree(spans),
          },
          [
            [took.length > 0, "a span of the gateway"],
            [
              Math.max(...took) >= delayMs - TIMER_TOLERANCE_MS,
              `one that starts before the gateway asks orders, and ends after the answer: ${delayMs} ms`,
            ],
          ],
        );
      },
    },
    {
      title: "what is in the batch when a process is told to end is sent first",
      anchor: "#an-end",
      async judge(trial) {
        // No timer sends anything here: what arrives is what the end sends.
        const system = await trial.system({ env: { all: { OTEL_BSP_SCHEDULE_DELAY: "60000" } } });
        await system.placeOrder();
        await system.consumed();
        const ends = await system.stop();
        const spans = await system.spansWhen(hasAll);
        const late = ends.filter(({ signal }) => signal === "SIGKILL");
        const lost = SERVICES.filter((service) => findSpans(spans, { service }).length === 0);
        return verdict(
          {
            did: "POST /orders at the gateway, then SIGTERM to all three before a batch was due",
            saw: `${spanTree(spans)}\n${system.collector.bytesReceived("traces")} bytes at the collector`,
          },
          [
            [late.length === 0, `${late[0]?.program}.ts ends within 5 s of SIGTERM`],
            [
              lost.length === 0,
              `the spans of ${lost.join(" and ")}: provider.shutdown() at SIGTERM sends what is left`,
            ],
          ],
        );
      },
    },
  ],
};

function hasAll(spans: readonly SeenSpan[]): boolean {
  return SERVICES.every((service) => findSpans(spans, { service }).length > 0);
}

/** What the SDK calls a process that has not said its name. */
function unnamed(spans: readonly SeenSpan[]): SeenSpan[] {
  return spans.filter(({ service }) => service.startsWith("unknown_service"));
}
