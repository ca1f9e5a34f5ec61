/** What the page of stage 00 shows: lines that cannot be told apart, a wire that says nothing, no span. */
import type { Bench, Experiment } from "./experiment.ts";
import type { Hop } from "../system/index.ts";

const SETUP = "docs/tutorial/experiments/00-auto";

export const experiments: Readonly<Record<string, Experiment>> = {
  "two-orders": { about: "two orders at once, and the lines they leave", run: showTwoOrders },
  wire: { about: "what the processes tell each other of one order", run: showWire },
  "auto-system": {
    about: "the stage's programs, with Node's auto-instrumentation before each",
    files: [`${SETUP}/setup.mjs`, `${SETUP}/bunfig.toml`],
    run: showAutoInstrumented,
  },
  auto: {
    about: "one request, with Node's auto-instrumentation, under Node and under Bun",
    script: `${SETUP}.ts`,
    needs: "node",
  },
};

/** Program by program: which of the three writes first is another matter each time. */
async function showTwoOrders({ stage, system, say }: Bench): Promise<void> {
  const running = await system();
  await Promise.all([running.placeOrder(), running.placeOrder()]);
  for (const program of stage.programs) {
    const lines = await running.when(
      () => running.output(program),
      (all) => all.length >= 2,
    );
    say(lines.join("\n"));
  }
}

async function showWire({ system, say }: Bench): Promise<void> {
  const running = await system();
  const { id } = await running.placeOrder();
  await running.confirmed(id);
  const [record] = await running.records("order.created");
  const headers = Object.keys(record?.headers ?? {});
  const [handedOn, confirmed] = running.hops();
  if (handedOn) sayHop(handedOn, say);
  say(`orders → Kafka: a record in order.created\n  key: ${record?.key}`);
  say(`  headers: ${headers.join(", ") || "none"}`);
  if (confirmed) sayHop(confirmed, say);
}

function sayHop({ from, to, method, path, headers }: Hop, say: Bench["say"]): void {
  const lines = headers.map(([name, value]) => `  ${name}: ${value}`).sort();
  say([`${from} → ${to}: ${method} ${path}`, ...lines].join("\n"));
}

async function showAutoInstrumented({ system, showTraces, say }: Bench): Promise<void> {
  const running = await system();
  const { id } = await running.placeOrder();
  say(`the order is ${(await running.confirmed(id)) ? "confirmed" : "not confirmed"}`);
  await showTraces(running);
}
