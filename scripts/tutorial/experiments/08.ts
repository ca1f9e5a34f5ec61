/** What the page of stage 08 shows: the lines of one order, and the series of very many. */
import { mistakes } from "../mistakes/08.ts";
import { editsOf } from "../mistakes/mistake.ts";
import type { Bench, Experiment } from "./experiment.ts";
import type { SeenMetric, System } from "../system/index.ts";

const SCRIPTS = "docs/tutorial/experiments";
const DURATION = "http.server.request.duration";
const IDS = 1_000;
const AT_ONCE = 20;
/** Of the gateway two, of orders three, of the worker one. */
const SERIES_OF_ORDER = 6;
const ODD_METHODS = ["PURGE", "PROPFIND", "LINK", "UNLINK"];
/** Whom it was about is the same in all of them here. */
const NOT_SHOWN = new Set(["url.scheme", "server.address", "server.port"]);

export const experiments: Readonly<Record<string, Experiment>> = {
  lines: { about: "three orders at once, and the lines of one of them", run: showLines },
  series: { about: "what is counted of one order", run: showSeries },
  "by-route": { about: `${IDS} different orders asked for, counted by route`, run: showMany },
  "by-path": {
    about: `${IDS} different orders asked for, counted by path`,
    edits: [
      {
        file: "http-server.ts",
        find: '...(route !== undefined && { "http.route": route }),',
        replace: '"url.path": pathname,',
      },
    ],
    run: showMany,
  },
  "any-method": {
    about: "methods that HTTP's conventions do not know, counted by their names",
    edits: editsOf(mistakes, "any-method"),
    run: showMethods,
  },
  milliseconds: {
    about: "what is counted of one order, in milliseconds",
    edits: editsOf(mistakes, "milliseconds"),
    run: showSeries,
  },
  "traces-alone": {
    about: "a meter provider that nobody shuts down",
    edits: editsOf(mistakes, "traces-alone"),
    run: showEnd,
  },
  buckets: {
    about: "the same durations with the SDK's boundaries, and with those of the conventions",
    script: `${SCRIPTS}/08-buckets.ts`,
  },
  "too-early": {
    about: "an instrument that is made before there is a provider",
    script: `${SCRIPTS}/08-too-early.ts`,
  },
  cost: { about: "what series cost in an export", script: `${SCRIPTS}/08-series.ts` },
};

async function showLines({ stage, system, say }: Bench): Promise<void> {
  const running = await system();
  const orders = [running.placeOrder(), running.placeOrder(), running.placeOrder()];
  await Promise.all((await Promise.all(orders)).map(({ id }) => running.confirmed(id)));
  await running.consumed();
  const [span] = await running.spansWhen((spans) => spans.length > 0);
  say(`$ grep ${span?.traceId} *.log`);
  for (const program of stage.programs.toSorted()) {
    const found = running.output(program).filter((line) => line.includes(span?.traceId ?? "?"));
    say(found.map((line) => `${program}.log:${line}`).join("\n"));
  }
}

async function showSeries({ stage, system, say }: Bench): Promise<void> {
  const running = await system();
  const { id } = await running.placeOrder();
  await running.confirmed(id);
  const points = await running.when(
    () => running.metrics(),
    // Each of the three sends its own.
    ({ length }) => length >= SERIES_OF_ORDER,
  );
  for (const program of stage.programs.toSorted()) {
    say(program);
    const own = points.filter(({ service }) => service === program);
    for (const point of own.toSorted(byText)) {
      say(`  ${textOf(point)}`);
    }
  }
}

async function showMany({ system, say }: Bench): Promise<void> {
  const running = await system({ programs: ["orders"] });
  await askForOrders(running);
  const series = await running.when(
    () => running.metrics().filter(({ name }) => name === DURATION),
    (points) => countOf(points) >= IDS,
  );
  say(`${countOf(series)} requests, ${series.length} series`);
  for (const point of series.slice(0, 3)) say(`  ${textOf(point)}`);
  if (series.length > 3) say("  …");
}

async function showMethods({ system, say }: Bench): Promise<void> {
  const running = await system({ programs: ["orders"] });
  for (const method of ODD_METHODS) await running.request("orders", method, "/nothing");
  const series = await running.when(
    () => running.metrics().filter(({ name }) => name === DURATION),
    (points) => countOf(points) >= ODD_METHODS.length,
  );
  say(`${ODD_METHODS.join(", ")}: ${countOf(series)} requests, ${series.length} series`);
  for (const point of series.toSorted(byText)) say(`  ${textOf(point)}`);
}

async function showEnd({ stage, system, say }: Bench): Promise<void> {
  const env = { OTEL_BSP_SCHEDULE_DELAY: "60000", OTEL_METRIC_EXPORT_INTERVAL: "60000" };
  const running = await system({ env: { all: env } });
  const { id } = await running.placeOrder();
  await running.confirmed(id);
  await running.consumed();
  await running.stop();
  say("one order, then SIGTERM to all three, before anything was due; at the collector:");
  for (const program of stage.programs.toSorted()) {
    const spans = running.spans().filter(({ service }) => service === program);
    const series = running.metrics().filter(({ service }) => service === program);
    say(`  ${program.padEnd(8)} ${spans.length} spans, ${series.length || "no"} series`);
  }
}

async function askForOrders(system: System): Promise<void> {
  let asked = 0;
  const askSome = async () => {
    while (asked++ < IDS) await system.request("orders", "GET", `/orders/${crypto.randomUUID()}`);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, askSome));
}

function countOf(points: readonly SeenMetric[]): number {
  return points.reduce((sum, { count = 0 }) => sum + count, 0);
}

function byText(one: SeenMetric, other: SeenMetric): number {
  return textOf(one) < textOf(other) ? -1 : 1;
}

function textOf({ name, unit, attributes, count, sum = 0, value }: SeenMetric): string {
  const shown = Object.entries(attributes).filter(([key]) => !NOT_SHOWN.has(key));
  const measured = value ?? `count ${count}, sum ${sum.toFixed(3)} ${unit}`;
  return `${name} {${shown.map((pair) => pair.join("=")).join(", ")}}: ${measured}`;
}
