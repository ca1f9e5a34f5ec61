/** What the page of stage 01 shows: how a span gets lost, and what one is on the wire. */
import { mistakes } from "../mistakes/01.ts";
import { editsOf } from "../mistakes/mistake.ts";
import type { Bench, Experiment } from "./experiment.ts";

const SCRIPTS = "docs/tutorial/experiments";

export const experiments: Readonly<Record<string, Experiment>> = {
  "no-shutdown": {
    about: "the programs end before a batch was due, and do not send it",
    edits: editsOf(mistakes, "no-shutdown"),
    run: showEnd,
  },
  shutdown: { about: "the programs end before a batch was due", run: showEnd },
  "no-provider": {
    about: "the gateway has no provider",
    edits: [{ file: "gateway.ts", find: 'startTracing("gateway");\n', replace: "" }],
  },
  "two-providers": {
    about: "a second provider, and a third",
    script: `${SCRIPTS}/01-two-providers.ts`,
  },
  "short-script": {
    about: "a script that is over sooner than the batch",
    script: `${SCRIPTS}/01-short-script.ts`,
  },
  hot: { about: "a file that changes while it runs", script: `${SCRIPTS}/01-hot.ts` },
  compile: { about: "programs compiled into one file", script: `${SCRIPTS}/01-compile.ts` },
  bytes: { about: "one span on the wire", script: `${SCRIPTS}/01-bytes.ts` },
};

/** With the batch's own 5 seconds, and not the tutorial's tenth of one. */
async function showEnd({ system, showTraces, say }: Bench): Promise<void> {
  const running = await system({ env: { all: { OTEL_BSP_SCHEDULE_DELAY: "5000" } } });
  await running.placeOrder();
  await running.consumed();
  await running.stop();
  await showTraces(running);
  say(`${running.collector.bytesReceived("traces")} bytes at the collector`);
}
