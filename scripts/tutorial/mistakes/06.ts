/** Mistakes of stage 06: where an order gets lost on its way to Kafka, or its trace does. */
import type { Complaint, Mistake } from "./mistake.ts";

const NOT_LOST = "an order whose process is killed right after COMMIT is not lost";
const CREATED = "an event is created in a PRODUCER span, and the record's headers carry that span";
const HANDLED = "a record is handled in a CONSUMER span below its creation, and linked to it";

export const bare: Complaint = { failing: NOT_LOST, says: /in the table outbox/ };

export const mistakes: readonly Mistake[] = [
  {
    name: "after-commit",
    about: "The event is sent when the transaction is over.",
    edits: [
      {
        file: "orders.ts",
        find: `    await createRecord("order.created", id, async (headers) => {
      await query\`
        INSERT INTO outbox (key, value, headers)
        VALUES (\${id}, \${JSON.stringify(order)}, \${headers})\`;
    });
  });
`,
        replace: `  });
  await createRecord("order.created", id, async (headers) => {
    const value = JSON.stringify(order);
    await producer.send({ topic: "order.created", messages: [{ key: id, value, headers }] });
  });
`,
      },
    ],
    failing: NOT_LOST,
    says: /pending\nrecords of it in order\.created: 0/,
  },
  {
    name: "other-connection",
    about: "The event is written, but on a connection that has nothing to do with the transaction.",
    edits: [
      {
        file: "orders.ts",
        find: "await query`\n        INSERT INTO outbox",
        replace: "await traceSql(sql)`\n        INSERT INTO outbox",
      },
    ],
    failing: "nobody is told of an order that was rolled back",
    says: /a statement of the order's transaction/,
  },
  {
    name: "no-headers",
    about: "The relay sends key and value alone.",
    edits: [
      {
        file: "relay.ts",
        find: "messages: rows }",
        replace: "messages: rows.map(({ key, value }) => ({ key, value })) }",
      },
    ],
    failing: CREATED,
    says: /headers of the record: none/,
  },
  {
    name: "outer-span",
    about:
      "The headers are made before there is the PRODUCER span, so they name the one around it.",
    edits: [
      {
        file: "kafka.ts",
        find: `  return await inSpan(
    \`create \${topic}\`,
    async () => {
      const headers: TraceHeaders = {};
      propagation.inject(context.active(), headers);
`,
        replace: `  const headers: TraceHeaders = {};
  propagation.inject(context.active(), headers);
  return await inSpan(
    \`create \${topic}\`,
    async () => {
`,
      },
    ],
    failing: CREATED,
    says: /inject inside it/,
  },
  {
    name: "no-links",
    about: "The span that sends does not link to what it sends.",
    edits: [
      {
        file: "kafka.ts",
        find: "kind: SpanKind.CLIENT, attributes, links }",
        replace: "kind: SpanKind.CLIENT, attributes }",
      },
    ],
    failing: "one record alone is sent in its order's trace, with a link to its creation",
    says: /links of send order\.created: none/,
  },
  {
    name: "first-is-parent",
    about: "A batch is sent in the trace of its first record.",
    edits: [
      {
        file: "kafka.ts",
        find: "creations.length === 1 ? creations[0] : ROOT_CONTEXT",
        replace: "creations[0]",
      },
    ],
    failing: "records that are sent together have one span, a link each, and no parent",
    says: /no parent: of several orders/,
  },
  {
    name: "default-getter",
    about: "The headers are read without a getter of one's own.",
    edits: [
      {
        file: "kafka.ts",
        find: "message.headers ?? {}, fromBuffers)",
        replace: "message.headers ?? {})",
      },
    ],
    failing: HANDLED,
    says: /a getter that makes text of them/,
  },
  {
    name: "link-only",
    about: "The CONSUMER span links to the creation, and is a root.",
    edits: [
      {
        file: "kafka.ts",
        find: "links },\n    creation,\n",
        replace: "links },\n    ROOT_CONTEXT,\n",
      },
    ],
    failing: HANDLED,
    says: /it has a parent/,
  },
  {
    name: "active-context",
    about: "The handler goes on with whatever was active when the consumer was started.",
    edits: [
      {
        file: "worker.ts",
        find: "import { startTracing }",
        replace: "import { inSpan, startTracing }",
      },
      {
        file: "worker.ts",
        find: "await consumer.run({",
        replace: 'await inSpan("start", async () => await consumer.run({',
      },
      { file: "worker.ts", find: "    });\n  },\n});", replace: "    });\n  },\n}));" },
      {
        file: "kafka.ts",
        find: "extract(ROOT_CONTEXT, message.headers",
        replace: "extract(context.active(), message.headers",
      },
    ],
    failing: "a record whose headers name no span begins a trace of its own",
    says: /these two are roots/,
  },
];
