/** What the page of stage 05 shows: where the time of a transaction goes, what a text tells, and N+1. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { spansOf as spansIn } from "#lib/embedded/traces/otlp.ts";
import { renderWaterfall } from "../../shared/waterfall.ts";
import { findSpans, inTrace, msOf } from "../check/index.ts";
import { PAGE_COLUMNS, type Bench, type Experiment } from "./experiment.ts";
import { editsOf } from "../mistakes/mistake.ts";
import { mistakes } from "../mistakes/05.ts";
import { ROOT } from "../stages.ts";
import type { SeenSpan, System } from "../system/index.ts";

const ORDERS_AT_ONCE = 50;
const POOL_SIZE = 10;
const ORDERS_LISTED = 5;
const PROGRAMS = ["orders"] as const;

const SLOW_COMMIT = join(ROOT, "docs/tutorial/experiments/05-slow-commit.sql");

export const experiments: Readonly<Record<string, Experiment>> = {
  text: { about: "names and texts of an order's statements", run: showTexts },
  "values-in-text": {
    about: "the same, with the values in the text",
    edits: editsOf(mistakes, "values-in-text"),
    run: showTexts,
  },
  "slow-commit": { about: "a constraint that is checked at COMMIT, slowly", run: showSlowCommit },
  "begin-hidden": {
    about: "the same, where BEGIN and COMMIT are no spans",
    edits: editsOf(mistakes, "begin-hidden"),
    run: showSlowCommit,
  },
  "no-connection": { about: "more orders than the pool has connections", run: showNoConnection },
  "on-the-pool": {
    about: "BEGIN on the pool, and not on one connection",
    edits: editsOf(mistakes, "on-the-pool"),
    run: showRefused,
  },
  lock: { about: "two changes of one order at once", run: showLock },
  failing: { about: "a statement that fails in a transaction", run: showFailing },
  "n-plus-one": {
    about: "a list, order by order",
    edits: editsOf(mistakes, "n-plus-one"),
    run: showList,
  },
  list: { about: "a list in one statement", run: showList },
  "at-once": { about: "orders at once, and whose statements are whose", run: showAtOnce },
};

async function showTexts({ system, say }: Bench): Promise<void> {
  const running = await system({ programs: PROGRAMS });
  await place(running);
  for (const { name, attributes } of statementsIn(await spansOf(running, 5))) {
    say(`${name}\n  ${attributes["db.query.text"]}`);
  }
}

async function showSlowCommit({ system, showTraces }: Bench): Promise<void> {
  const running = await system({ programs: PROGRAMS });
  // The first one makes the connection.
  await place(running);
  await makeCommitsSlow(running);
  await running.forget();
  await place(running);
  await showTraces(running);
}

/** The pool has ten connections, and each is taken for as long as its COMMIT lasts. */
async function showNoConnection({ system, say }: Bench): Promise<void> {
  const running = await system({ programs: PROGRAMS });
  await makeCommitsSlow(running);
  const orders = POOL_SIZE + 1;
  await Promise.all(Array.from({ length: POOL_SIZE }, () => place(running)));
  await running.forget();
  await Promise.all(Array.from({ length: orders }, () => place(running)));
  const spans = await spansOf(running, orders * 5);
  const requests = findSpans(spans, { kind: "SERVER" });
  const slowest = requests.reduce((a, b) => (msOf(b) > msOf(a) ? b : a));
  const drawn = running
    .traces()
    .find((trace) => spansIn(trace).some(({ span }) => span.traceId === slowest.traceId));
  say(`${orders} orders at once, over a pool of ${POOL_SIZE} connections; the slowest of them:`);
  if (drawn) say(renderWaterfall(drawn, { widthColumns: PAGE_COLUMNS, color: false }));
}

async function makeCommitsSlow(system: System): Promise<void> {
  for (const statement of readFileSync(SLOW_COMMIT, "utf8").split("\n\n")) {
    await system.rows(statement);
  }
}

async function showRefused({ system, say, showTraces }: Bench): Promise<void> {
  const running = await system({ programs: PROGRAMS });
  const body = { customer: "ada", items: [{ item: "tea", quantity: 2 }] };
  const { status, text } = await running.request("orders", "POST", "/orders", { body });
  say(`orders answers ${status}: ${text}`);
  await showTraces(running);
}

/** Each keeps the row until its COMMIT, which is part of a statement that stands alone. */
async function showLock({ system, showTraces }: Bench): Promise<void> {
  const running = await system({ programs: PROGRAMS });
  const id = await place(running);
  await place(running);
  await makeCommitsSlow(running);
  await running.forget();
  const patch = () =>
    running.request("orders", "PATCH", `/orders/${id}`, { body: { status: "sent" } });
  await Promise.all([patch(), patch()]);
  await showTraces(running);
}

async function showFailing({ system, showTraces, say }: Bench): Promise<void> {
  const running = await system({ programs: PROGRAMS });
  await place(running);
  await running.forget();
  // PostgreSQL keeps no text with a NUL in it.
  const items = [{ item: "\0", quantity: 1 }];
  await running.request("orders", "POST", "/orders", { body: { customer: "ada", items } });
  await showTraces(running);
  for (const { name, attributes, status } of statementsIn(running.spans())) {
    if (status === "ERROR") {
      say(`${name}: db.response.status_code ${attributes["db.response.status_code"]}`);
    }
  }
}

async function showList({ system, showTraces }: Bench): Promise<void> {
  const running = await system({ programs: PROGRAMS });
  for (let order = 0; order < ORDERS_LISTED; order++) await place(running);
  // The first time PostgreSQL has to plan it.
  await running.request("orders", "GET", "/orders");
  await running.forget();
  await running.request("orders", "GET", "/orders");
  await showTraces(running);
}

async function showAtOnce({ system, say }: Bench): Promise<void> {
  const running = await system({ programs: PROGRAMS });
  await Promise.all(Array.from({ length: ORDERS_AT_ONCE }, () => place(running)));
  const spans = await spansOf(running, ORDERS_AT_ONCE * 5);
  const requests = findSpans(spans, { kind: "SERVER" });
  const own = requests.filter(({ traceId, spanId }) => {
    const statements = statementsIn(inTrace(spans, traceId));
    const names = statements.map(({ name }) => name).sort();
    const areBelow = statements.every(({ parentSpanId }) => parentSpanId === spanId);
    return (
      areBelow &&
      names.join() === "BEGIN,COMMIT,INSERT order_items,INSERT order_items,INSERT orders"
    );
  });
  say(`${ORDERS_AT_ONCE} orders at once, over a pool of ${POOL_SIZE} connections`);
  say(`orders below which are their own five statements, and no other: ${own.length}`);
}

async function place(system: System): Promise<string> {
  const items = [
    { item: "tea", quantity: 2 },
    { item: "cup", quantity: 1 },
  ];
  const body = { customer: "ada", items };
  const answer = await system.request("orders", "POST", "/orders", { body });
  return (answer.json() as { id: string }).id;
}

async function spansOf(system: System, statements: number): Promise<readonly SeenSpan[]> {
  return await system.spansWhen(
    (all) =>
      statementsIn(all).length >= statements && findSpans(all, { kind: "SERVER" }).length > 0,
  );
}

/** @returns the spans of statements, in the order of their starts */
function statementsIn(spans: readonly SeenSpan[]): SeenSpan[] {
  return spans
    .filter(({ attributes }) => "db.query.text" in attributes)
    .toSorted((a, b) => Number(a.startNs - b.startNs || a.endNs - b.endNs));
}
