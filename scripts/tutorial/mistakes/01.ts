/** Mistakes of stage 01: how a span gets lost on its way out of a process. */
import type { Complaint, Mistake } from "./mistake.ts";

const EACH = "an order makes a span in each of the three processes";
const END = "what is in the batch when a process is told to end is sent first";

export const bare: Complaint = { failing: EACH, says: /no span[^]*startTracing/ };

export const mistakes: readonly Mistake[] = [
  {
    name: "no-shutdown",
    about: "The programs end without sending what is in the batch.",
    edits: [{ file: "tracing.ts", find: "  endWith(() => provider.shutdown());\n", replace: "" }],
    failing: END,
    says: /0 bytes at the collector[^]*provider\.shutdown\(\) at SIGTERM/,
  },
  {
    name: "no-exit",
    about: "SIGTERM is taken over, and the process never ends.",
    edits: [{ file: "tracing.ts", find: "    process.exit(0);\n", replace: "" }],
    failing: END,
    says: /\.ts ends within 5 s of SIGTERM/,
  },
  {
    name: "no-provider",
    about: "The worker makes spans, and has no provider.",
    edits: [{ file: "worker.ts", find: 'startTracing("worker");\n', replace: "" }],
    failing: EACH,
    says: /a span of worker, too/,
  },
  {
    name: "no-name",
    about: "No process says who it is.",
    edits: [{ file: "tracing.ts", find: '"service.name": serviceName', replace: "" }],
    failing: EACH,
    says: /no service\.name\)[^]*`service\.name` in the resource/,
  },
  {
    name: "no-end",
    about: "The span of the orders service is started, and never ended.",
    edits: [{ file: "orders.ts", find: "      span.end();\n", replace: "" }],
    failing: EACH,
    says: /a span of orders, too: [^]*that is ended/,
  },
  {
    name: "ended-early",
    about: "The gateway's span ends before the orders service has answered.",
    edits: [
      {
        file: "gateway.ts",
        find: 'tracer.startSpan("hand an order on");',
        replace: 'tracer.startSpan("hand an order on");\n    span.end();',
      },
    ],
    failing: "a span is open as long as its work takes",
    says: /a span of the gateway of \d+ ms[^]*ends after the answer/,
  },
];
