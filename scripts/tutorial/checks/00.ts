/** The check of stage 00: the system runs as it is, and nobody has made a span yet. */
import { spanTree, verdict, type StageCheck } from "../check/index.ts";
import type { System } from "../system/index.ts";

export const check: StageCheck = {
  hints: [
    "There is nothing to write in this stage: its files pass as they were laid out.",
    "An order's way: gateway.ts asks orders.ts, which stores it and tells Kafka; worker.ts hears of it and asks orders.ts to set its status.",
    "Something was changed? `bun run tutorial diff 00 --mine` shows what.",
  ],
  items: [
    {
      title: "an order placed at the gateway ends confirmed",
      anchor: "#the-system",
      async judge(trial) {
        const system = await trial.system();
        const { id } = await system.placeOrder();
        const isConfirmed = await system.confirmed(id);
        const records = await recordsOf(system, [id]);
        return verdict(
          {
            did: "POST /orders at the gateway, then a look into PostgreSQL and Kafka",
            saw: `${await statusOf(system, id)}\nrecords in order.created that name it: ${records.length}`,
          },
          [
            [records.length > 0, "a record of it in order.created: orders.ts publishes it"],
            [isConfirmed, "its status to be confirmed: worker.ts asks orders.ts for it"],
          ],
        );
      },
    },
    {
      title: "two orders at once both end confirmed",
      anchor: "#which-lines-belong-together",
      async judge(trial) {
        const system = await trial.system();
        const orders = await Promise.all([system.placeOrder(), system.placeOrder()]);
        const ids = orders.map(({ id }) => id);
        const areConfirmed = await Promise.all(ids.map((id) => system.confirmed(id)));
        const statuses = await Promise.all(ids.map((id) => statusOf(system, id)));
        return verdict(
          { did: "POST /orders at the gateway twice, at the same time", saw: statuses.join("\n") },
          [[!areConfirmed.includes(false), "both to be confirmed"]],
        );
      },
    },
    {
      title: "each order is one record in Kafka, under its id",
      anchor: "#what-the-processes-tell-each-other",
      async judge(trial) {
        const system = await trial.system();
        const { id } = await system.placeOrder();
        const records = await recordsOf(system, [id]);
        const headers = records.flatMap((record) => Object.keys(record.headers));
        return verdict(
          {
            did: "POST /orders at the gateway, then a look into order.created",
            saw: `records that name it: ${records.length}, with the key ${records[0]?.key ?? "(none)"}`,
            note: `the record's headers: ${headers.join(", ") || "none"}`,
          },
          [
            [records.length === 1, "one record that names it"],
            [records[0]?.key === id, `its key to be the order's id: ${id}`],
          ],
        );
      },
    },
    {
      title: "nothing makes a span yet",
      anchor: "#nodes-auto-instrumentation",
      async judge(trial) {
        const system = await trial.system();
        const { id } = await system.placeOrder();
        await system.confirmed(id);
        const spans = await system.spansWhen((all) => all.length > 0, SPAN_WAIT_MS);
        return verdict(
          {
            did: "POST /orders at the gateway, and a look at the collector",
            saw: spanTree(spans),
            note: `${system.collector.bytesReceived()} bytes at the collector`,
          },
          [[spans.length === 0, "no span: that is what stage 01 begins with"]],
        );
      },
    },
  ],
};

/** Long enough for a batch: the tutorial's go out after 100 ms. */
const SPAN_WAIT_MS = 1_000;

/** @returns the records that name one of the orders */
async function recordsOf(system: System, ids: readonly string[]) {
  const namesOne = ({ value }: { readonly value: string }) => ids.some((id) => value.includes(id));
  const records = await system.recordsWhen("order.created", (all) => all.some(namesOne));
  return records.filter(namesOne);
}

async function statusOf(system: System, id: string): Promise<string> {
  const text = "SELECT status FROM orders WHERE id::text = $1";
  const [row] = await system.rows<{ status: string }>(text, [id]);
  return `the order ${id} is ${row?.status ?? "not in the table orders"}`;
}
