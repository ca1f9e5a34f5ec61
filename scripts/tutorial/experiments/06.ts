/** What the page of stage 06 shows: how an order gets lost, and where a record's trace goes on, or does not. */
import type { Bench, Experiment } from "./experiment.ts";
import { findSpans } from "../check/index.ts";
import { holdCommits } from "../checks/held-commits.ts";
import { editsOf } from "../mistakes/mistake.ts";
import { mistakes } from "../mistakes/06.ts";
import type { System } from "../system/index.ts";

const SCRIPTS = "docs/tutorial/experiments";
const TOPIC = "order.created";
/** A line that makes time for a kill. */
const PAUSE = "await Bun.sleep(2_000);";
const AFTER_KILL_MS = 3_000;
/** How long the worker is away. LATER_MS=10000 makes it the ten seconds of the page's heading. */
const LATER_MS = Number(process.env["LATER_MS"] ?? 2_000);

export const experiments: Readonly<Record<string, Experiment>> = {
  buffers: { about: "a header as text and as a Buffer", script: `${SCRIPTS}/06-buffers.ts` },
  "after-commit": {
    about: "the event is sent after COMMIT, and the process is killed in between",
    edits: [
      ...editsOf(mistakes, "after-commit"),
      {
        file: "orders.ts",
        find: '  await createRecord("order.created"',
        replace: `  ${PAUSE}\n  await createRecord("order.created"`,
      },
    ],
    run: showKilled,
  },
  outbox: {
    about: "the relay is killed between COMMIT and the sending",
    edits: [
      {
        file: "relay.ts",
        find: "    await sendRecords(",
        replace: `    ${PAUSE}\n    await sendRecords(`,
      },
    ],
    run: showKilled,
  },
  together: { about: "three orders whose events lie in the outbox together", run: showTogether },
  "default-getter": {
    about: "the worker reads the headers without a getter of its own",
    edits: editsOf(mistakes, "default-getter"),
  },
  later: { about: "the worker is away when the order is placed", run: showLater },
  "run-in-span": {
    about: "what is active in a handler of kafkajs",
    script: `${SCRIPTS}/06-run-in-span.ts`,
  },
  "each-batch": {
    about: "a batch that is handled as one",
    script: `${SCRIPTS}/06-each-batch.ts`,
  },
};

/** Ends the orders service between COMMIT and the sending, and looks what becomes of the order. */
async function showKilled({ system, say }: Bench): Promise<void> {
  const running = await system();
  // Nobody is left to answer it.
  const posted = running.placeOrder().catch(() => undefined);
  await running.rowsWhen("SELECT FROM orders", (rows) => rows.length > 0);
  await running.kill("orders");
  await posted;
  say("COMMIT is through, nothing is sent: kill -9 of the orders service");
  say(await whatThereIs(running));
  await running.start("orders");
  await Bun.sleep(AFTER_KILL_MS);
  say(`the orders service runs again, for ${AFTER_KILL_MS / 1000} s`);
  say(await whatThereIs(running));
}

async function whatThereIs(system: System): Promise<string> {
  const [order] = await system.rows<{ status: string }>("SELECT status FROM orders");
  const records = await system.records(TOPIC);
  const count = new Set(records.map(({ key }) => key)).size;
  return `  the order: ${order?.status}\n  orders that Kafka knows of: ${count}`;
}

/** Their COMMITs go through at the same moment: else the relay might look in between. */
async function showTogether({ system, say }: Bench): Promise<void> {
  const running = await system();
  const held = await holdCommits(running);
  const posted = ["ada", "bob", "cleo"].map((customer) => running.placeOrder({ customer }));
  await held.waitFor(posted.length);
  await held.releaseTogether();
  await Promise.all(posted);
  const spans = await running.spansWhen(
    (seen) => findSpans(seen, { kind: "CONSUMER" }).length >= posted.length,
  );
  const creations = findSpans(spans, { kind: "PRODUCER" });
  const nameOf = (id: string) => creations.find(({ spanId }) => spanId === id)?.name;
  for (const { name, links, parentSpanId } of findSpans(spans, { name: `send ${TOPIC}` })) {
    say(`${name}, ${links.length} records, ${parentSpanId ? "a parent" : "no parent"}`);
    for (const { traceId, spanId } of links) {
      say(`  link to ${nameOf(spanId)} ${spanId} of trace ${traceId}`);
    }
  }
}

async function showLater({ system, showTraces, say }: Bench): Promise<void> {
  const running = await system();
  await running.stop("worker");
  const { id } = await running.placeOrder();
  await Bun.sleep(LATER_MS);
  await running.start("worker");
  say(`the worker was started ${LATER_MS / 1000} s after the order`);
  await running.confirmed(id);
  await showTraces(running);
}
