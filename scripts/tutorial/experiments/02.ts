/** What the page of stage 02 shows: spans without a place, without an end, and with a wrong one. */
import { mistakes } from "../mistakes/02.ts";
import { editsOf } from "../mistakes/mistake.ts";
import type { Bench, Experiment } from "./experiment.ts";

const SCRIPTS = "docs/tutorial/experiments";

export const experiments: Readonly<Record<string, Experiment>> = {
  "no-manager": {
    about: "no context manager",
    edits: editsOf(mistakes, "no-manager"),
  },
  "no-end": {
    about: "the span of the whole order never ends",
    edits: editsOf(mistakes, "no-end"),
  },
  "no-finally": {
    about: "a span ends only where its work succeeds, and storing an order fails",
    edits: editsOf(mistakes, "no-finally"),
    run: showFailingOrder,
  },
  finally: { about: "storing an order fails", run: showFailingOrder },
  "no-await": {
    about: "inSpan returns the work's promise, and does not wait for it",
    edits: editsOf(mistakes, "no-await"),
  },
  callbacks: {
    about: "which span is active in a callback",
    script: `${SCRIPTS}/02-callbacks.ts`,
  },
  stack: { about: "return, return await and the stack", script: `${SCRIPTS}/02-stack.ts` },
};

/** PostgreSQL keeps no text with a NUL in it. */
async function showFailingOrder({ system, showTraces, say }: Bench): Promise<void> {
  const running = await system({ programs: ["orders"] });
  const body = { customer: "\0", items: [{ item: "tea", quantity: 1 }] };
  const { status } = await running.request("orders", "POST", "/orders", { body });
  say(`the orders service answers ${status}`);
  await showTraces(running);
}
