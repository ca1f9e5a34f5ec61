/** Mistakes of stage 00: what can be broken in the system as it is. */
import type { Complaint, Mistake } from "./mistake.ts";

/** There is nothing to do. */
export const bare: Complaint | undefined = undefined;

const CONFIRMED = "an order placed at the gateway ends confirmed";

export const mistakes: readonly Mistake[] = [
  {
    name: "not-published",
    about: "The orders service does not tell Kafka.",
    edits: [{ file: "orders.ts", find: "      await publishOrder(order);\n", replace: "" }],
    failing: CONFIRMED,
    says: /name it: 0[^]*orders\.ts publishes it/,
  },
  {
    name: "not-confirmed",
    about: "The worker reads the event, and does nothing.",
    edits: [{ file: "worker.ts", find: "    await confirmOrder(order.id);\n", replace: "" }],
    failing: CONFIRMED,
    says: /is pending[^]*worker\.ts asks/,
  },
  {
    name: "no-key",
    about: "The record has no key: events of one order may overtake each other.",
    edits: [{ file: "orders.ts", find: "key: order.id, ", replace: "" }],
    failing: "each order is one record in Kafka, under its id",
    says: /its key to be the order's id/,
  },
  {
    name: "span-already",
    about: "The gateway sends a span.",
    edits: [
      {
        file: "gateway.ts",
        find: 'import { Elysia } from "elysia";\n',
        replace: `import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { Elysia } from "elysia";

const spanProcessors = [new SimpleSpanProcessor(new OTLPTraceExporter())];
const tracer = new BasicTracerProvider({ spanProcessors }).getTracer("too early");
`,
      },
      {
        file: "gateway.ts",
        find: '    console.log("gateway: handed an order on");\n',
        replace: '    tracer.startSpan("hand an order on").end();\n',
      },
    ],
    failing: "nothing makes a span yet",
    says: /"hand an order on"[^]*stage 01 begins/,
  },
];
