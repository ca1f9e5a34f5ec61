/** Mistakes of stage 10: what goes wrong where one's own files give way to the layer. */
import type { Complaint, Mistake } from "./mistake.ts";

const TRACE = "every span of an order is the layer's, and it is still one trace";

export const bare: Complaint = { failing: TRACE, says: /instrumentation scope is @orderflow/ };

export const mistakes: readonly Mistake[] = [
  {
    name: "plain-fetch",
    about: "The gateway asks with fetch, which sends no header.",
    edits: [{ file: "gateway.ts", find: "await tracedFetch(`${", replace: "await fetch(`${" }],
    failing: TRACE,
    says: /root is the gateway's|below the gateway's CLIENT span/,
  },
  {
    name: "relay-traced",
    about: "The relay looks into the outbox with the client that is traced: each look is a trace.",
    edits: [{ file: "orders.ts", find: "relay(untraced,", replace: "relay(sql," }],
    failing: "each statement is a span, BEGIN and COMMIT too, and the relay's looks are none",
    says: /the client that is not traced/,
  },
  {
    name: "untraced-client",
    about: "The orders service keeps Bun's own client.",
    edits: [{ file: "orders.ts", find: "traceSql(untraced);", replace: "untraced;" }],
    failing: "each statement is a span, BEGIN and COMMIT too, and the relay's looks are none",
    says: /traceSql/,
  },
  {
    name: "no-resend-count",
    about: "The worker does not say which try it is.",
    edits: [{ file: "worker.ts", find: "resendCount: before", replace: "" }],
    failing: "a try that is made again says which one it is",
    says: /resend_count 1 and 2/,
  },
  {
    name: "dead-letter-elsewhere",
    about: "The dead letter is sent below its record's creation, and not below its handling.",
    edits: [{ file: "worker.ts", find: ", { parent: context.active() }", replace: "" }],
    failing: "a dead letter is sent below its record's handling, and linked to its creation",
    says: /below the CONSUMER span/,
  },
  {
    name: "no-shutdown",
    about: "The worker ends without sending what is left.",
    edits: [{ file: "worker.ts", find: "  await telemetry.shutdown();\n", replace: "" }],
    failing: "each program still ends in time, and sends what is left first",
    says: /the spans of worker/,
  },
];
