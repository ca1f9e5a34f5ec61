/**
 * Everything that needs the system running: each dashboard's queries against a real Prometheus, the
 * traces in a real Jaeger, both behind the real Collector.
 */
import { compareTraces } from "./compare-traces.ts";
import { dashboardFiles, panelQueries, type PanelQuery } from "./dashboards.ts";
import { startLive, type Live } from "./live.ts";
import type { Report } from "./report.ts";
import { findTool, missing, type ToolName } from "./tools.ts";
import { makeTraffic } from "./traffic.ts";

const ORDERS = 60;
/** Rates need several scrapes, recording rules one more round. */
const SERIES_TIMEOUT_MS = 60_000;
const POLL_MS = 1_000;

export async function checkLive(report: Report): Promise<void> {
  const [collector, jaeger, prometheus] = (["collector", "jaeger", "prometheus"] as const).map(
    findTool,
  );
  for (const name of ["collector", "jaeger"] as ToolName[]) {
    if (!findTool(name)) return report.unproven("the running stack", missing(name));
  }
  const live = await startLive({
    collector: collector as string,
    jaeger: jaeger as string,
    prometheus,
  });
  try {
    const orderIds = await makeTraffic(live, ORDERS);
    report.ok(`${orderIds.length} orders placed and settled, traces sent through the Collector`);
    await compareTraces(report, live, orderIds);
    if (!live.prometheusUrl) {
      return report.unproven("dashboards", missing("prometheus"));
    }
    // The first samples of a counter are no rate: the same again, with scrapes before and after.
    await Bun.sleep(3 * POLL_MS);
    await makeTraffic(live, ORDERS);
    for (const file of await dashboardFiles()) {
      for (const query of await panelQueries(file)) await checkPanel(report, live, query);
    }
    await checkRules(report, live.prometheusUrl);
  } finally {
    await live.stop();
  }
}

async function checkPanel(report: Report, live: Live, query: PanelQuery): Promise<void> {
  const what = `${query.dashboard} / ${query.panel}`;
  if (query.kind === "jaeger trace")
    return report.ok(`${what}: a field on the page names the trace`);
  const count = () =>
    query.kind === "prometheus"
      ? countSeries(live.prometheusUrl ?? "", query.query)
      : countTraces(live.jaegerUrl, query.parameters);
  try {
    const series = await untilSome(count);
    const asked = query.kind === "prometheus" ? query.query : query.parameters.toString();
    if (series === 0) return report.fail(what, `nothing comes of ${asked}`);
    const exemplars =
      query.kind === "prometheus" && query.wantsExemplars
        ? await untilSome(() => countExemplars(live.prometheusUrl ?? "", query.query))
        : undefined;
    if (exemplars === 0) return report.fail(what, `no exemplar comes of ${asked}`);
    report.ok(
      `${what}: ${series}${exemplars === undefined ? "" : ` and ${exemplars} exemplars`} of ${asked}`,
    );
  } catch (error) {
    report.fail(what, (error as Error).message);
  }
}

/** Every rule is healthy, and nothing that this traffic does not deserve fires. */
async function checkRules(report: Report, prometheusUrl: string): Promise<void> {
  const { groups } = (await ask(`${prometheusUrl}/api/v1/rules`)) as {
    groups: { rules: { name: string; health: string; lastError?: string; state?: string }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);
  const sick = rules.filter(({ health }) => health !== "ok");
  if (sick.length > 0) {
    return report.fail("rules", sick.map((rule) => `${rule.name}: ${rule.lastError}`).join("\n"));
  }
  const firing = rules.filter(({ state }) => state === "firing").map(({ name }) => name);
  if (firing.join() === "DeadLetters") {
    report.ok(
      `${rules.length} rules are healthy; the one alert is DeadLetters, for the record sent`,
    );
  } else {
    report.fail(
      "alerts",
      `expected DeadLetters alone to fire, got: ${firing.join(", ") || "none"}`,
    );
  }
}

async function countSeries(prometheusUrl: string, query: string): Promise<number> {
  const data = await ask(`${prometheusUrl}/api/v1/query?${new URLSearchParams({ query })}`);
  // A rate over an empty window and a quantile of nothing are NaN: not something to look at.
  const { result } = data as { result: { value: [number, string] }[] };
  return result.filter(({ value }) => value[1] !== "NaN").length;
}

async function countExemplars(prometheusUrl: string, query: string): Promise<number> {
  const nowS = Date.now() / 1_000;
  const parameters = new URLSearchParams({
    query,
    start: String(nowS - 300),
    end: String(nowS + 5),
  });
  const data = await ask(`${prometheusUrl}/api/v1/query_exemplars?${parameters}`);
  const series = data as { exemplars: { labels: Record<string, string> }[] }[];
  return series.flatMap(({ exemplars }) => exemplars).filter(({ labels }) => labels["trace_id"])
    .length;
}

async function countTraces(jaegerUrl: string, parameters: URLSearchParams): Promise<number> {
  return ((await ask(`${jaegerUrl}/api/traces?${parameters}`)) as unknown[]).length;
}

/** @throws Error with what the server says where it refuses the query */
async function ask(url: string): Promise<unknown> {
  const response = await fetch(url);
  const body = (await response.json()) as { data: unknown; error?: string };
  if (!response.ok) throw new Error(`${response.status}: ${body.error ?? JSON.stringify(body)}`);
  return body.data;
}

async function untilSome(count: () => Promise<number>): Promise<number> {
  const untilMs = performance.now() + SERIES_TIMEOUT_MS;
  for (;;) {
    const found = await count();
    if (found > 0 || performance.now() > untilMs) return found;
    await Bun.sleep(POLL_MS);
  }
}
