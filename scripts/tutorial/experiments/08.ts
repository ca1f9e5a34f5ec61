/** What the page of stage 08 shows: the lines of one order, and the series of very many. */
import type { Bench, Experiment } from "../experiments.ts";
import type { SeenMetric, System } from "../system/index.ts";

const SCRIPTS = "docs/tutorial/experiments";
const DURATION = "http.server.request.duration";
const IDS = 1_000;
const AT_ONCE = 20;
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
  for (const program of stage.programs) {
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
    // The worker asks orders last: what comes of it is counted on both sides.
    (seen) =>
      seen.filter(({ attributes }) => attributes["http.request.method"] === "PATCH").length > 1,
  );
  for (const program of stage.programs) {
    say(program);
    const own = points.filter(({ service }) => service === program);
    for (const point of own.toSorted((a, b) => textOf(a).localeCompare(textOf(b)))) {
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

function textOf({ name, unit, attributes, count, sum = 0, value }: SeenMetric): string {
  const shown = Object.entries(attributes).filter(([key]) => !NOT_SHOWN.has(key));
  const measured = value ?? `count ${count}, sum ${sum.toFixed(3)} ${unit}`;
  return `${name} {${shown.map((pair) => pair.join("=")).join(", ")}}: ${measured}`;
}
