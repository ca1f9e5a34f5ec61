/** Mistakes of stage 02: spans without a place, with another's place, and without the right end. */
import type { Complaint, Mistake } from "./mistake.ts";

const BELOW = "what is done for an order are spans below the span of the order";

export const bare: Complaint = { failing: BELOW, says: /below the span of the order/ };

export const mistakes: readonly Mistake[] = [
  {
    name: "no-manager",
    about: "There is no context manager: each span is a root.",
    edits: [
      {
        file: "tracing.ts",
        find: "  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());\n",
        replace: "",
      },
    ],
    failing: BELOW,
    says: /all are roots[^]*context manager\?/,
  },
  {
    name: "no-await",
    about: "inSpan returns the work's promise, and ends the span at once.",
    edits: [
      { file: "tracing.ts", find: "return await work(span);", replace: "return work(span);" },
    ],
    failing: "a span lasts as long as its work",
    says: /a span of the gateway of 600 ms[^]*await/,
  },
  {
    name: "no-finally",
    about: "A span ends only where its work succeeds.",
    edits: [
      {
        file: "tracing.ts",
        find: `    try {
      return await work(span);
    } finally {
      span.end();
    }
`,
        replace: `    const result = await work(span);
    span.end();
    return result;
`,
      },
    ],
    failing: "a span ends also where its work fails",
    says: /no span[^]*span\.end\(\) in finally/,
  },
  {
    name: "no-end",
    about: "The span of the order is never ended: those below it have no parent.",
    edits: [
      {
        file: "orders.ts",
        find: 'await inSpan("place an order"',
        replace: 'await tracer.startActiveSpan("place an order"',
      },
      { file: "orders.ts", find: "import { inSpan,", replace: "import { inSpan, tracer," },
    ],
    failing: "a span ends also where its work fails",
    says: /it was never ended/,
  },
  {
    name: "shared-queue",
    about:
      "Events go through a queue that whoever comes first empties, also of the others' events.",
    edits: [
      {
        file: "orders.ts",
        find: 'await inSpan("publish the event", () => publishOrder(order));',
        replace: 'await enqueue(() => inSpan("publish the event", () => publishOrder(order)));',
      },
      {
        file: "orders.ts",
        find: "new Elysia()",
        replace: `const queue: (() => Promise<void>)[] = [];
let emptying: Promise<void> | undefined;

async function enqueue(work: () => Promise<void>) {
  queue.push(work);
  emptying ??= Bun.sleep(50).then(async () => {
    emptying = undefined;
    for (const each of queue.splice(0)) await each();
  });
  await emptying;
}

new Elysia()`,
      },
    ],
    failing: "5 orders at once are 5 trees",
    says: /began while another was active/,
  },
  {
    name: "lost-context",
    about: "The worker leaves the confirming to a timer, where no span is active.",
    edits: [
      {
        file: "worker.ts",
        find: '      await inSpan("confirm the order", () => confirmOrder(order.id));\n',
        replace: "      later.push(order.id);\n",
      },
      {
        file: "worker.ts",
        find: "await consumer.connect();",
        replace: `const later: string[] = [];
setInterval(() => {
  for (const id of later.splice(0)) {
    void inSpan("confirm the order", () => confirmOrder(id));
  }
}, 10);
await consumer.connect();`,
      },
    ],
    failing: "confirming an order is a span below the span of its event",
    says: /below the span of the event one of confirming/,
  },
];
