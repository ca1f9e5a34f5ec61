/** All metrics: each as lines over time, with its series and the spans that it leads to. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { stats } from "./api.ts";
import { clockTime, count, duration } from "./format.ts";
import { HeatMap } from "./heat-map.tsx";
import { labelOf, linesOf } from "./metric-lines.ts";
import { parameter, query, setQuery } from "./router.ts";
import { learnServices, services } from "./service.tsx";
import { theme, utc } from "./settings.ts";
import { useLive } from "./use-live.ts";
import type { WireMetric, WireMetrics, WireSeries } from "./wire.ts";

/** The page of metrics; the one that is shown stands in the address. */
export function MetricsPage() {
  const live = useLive<WireMetrics>(`/api/view/metrics?${query.value}`, (found) => {
    learnServices(found.services);
    stats.value = found.stats;
  });
  const sought = useSignal("");
  useEffect(() => {
    document.title = "Metrics · OrderFlow";
  }, []);
  const answer = live.answer.value;
  if (live.problem.value) {
    return (
      <p class="error" role="alert">
        {live.problem.value}
      </p>
    );
  }
  if (!answer) return null;
  const metric = answer.metrics.find(({ name }) => name === parameter("name"));
  const shown = answer.metrics.filter(({ name }) => name.includes(sought.value.trim()));
  return (
    <>
      <h1 class="visually-hidden">Metrics</h1>
      <div class="metrics">
        <nav class="metric-list" aria-label="Metrics">
          <label>
            <span class="visually-hidden">Find a metric</span>
            <input
              type="search"
              placeholder="Find a metric"
              value={sought.value}
              onInput={(event) => (sought.value = event.currentTarget.value)}
            />
          </label>
          <ul>
            {shown.map(({ name, series }) => (
              <li key={name}>
                <a
                  href={`/metrics-view?${new URLSearchParams({ name })}`}
                  aria-current={name === metric?.name ? "page" : undefined}
                >
                  {name}
                </a>{" "}
                <span class="faint">{series}</span>
              </li>
            ))}
          </ul>
          {answer.metrics.length === 0 && (
            <p class="note">
              No metrics yet: they come when a program exports them, often once a minute.
            </p>
          )}
        </nav>
        <section aria-label="Metric">
          {metric ? (
            <Metric metric={metric} series={answer.series} />
          ) : (
            answer.metrics.length > 0 && <p class="note">Choose a metric.</p>
          )}
        </section>
      </div>
    </>
  );
}

function Metric({ metric, series }: { metric: WireMetric; series: readonly WireSeries[] }) {
  const format = formatOf(metric);
  const asHeat = metric.type === "histogram" && parameter("as") === "heat";
  const exemplars = series.flatMap((one) => one.exemplars).toSorted((a, b) => b.time - a.time);
  return (
    <>
      <h2>{metric.name}</h2>
      <p class="faint">
        {metric.description} {WHAT[metric.type]}
        {metric.unit && ` Its unit is ${metric.unit}.`}
      </p>
      <p>
        <label>
          Service{" "}
          <select
            value={parameter("service")}
            onChange={(event) => setQuery({ service: event.currentTarget.value }, "push")}
          >
            <option value="">all</option>
            {services.value.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        {metric.type === "histogram" && (
          <span role="group" aria-label="Show as" class="switch">
            {["percentiles", "heat"].map((view) => (
              <button
                key={view}
                type="button"
                aria-pressed={asHeat === (view === "heat")}
                onClick={() => setQuery({ as: view === "heat" ? view : undefined })}
              >
                {view === "heat" ? "Heat map" : "Percentiles"}
              </button>
            ))}
          </span>
        )}
      </p>
      {asHeat ? (
        <HeatMap name={metric.name} series={series} format={format} />
      ) : (
        <Chart metric={metric} series={series} format={format} />
      )}
      <div class="wide-table" role="region" aria-label="Series" tabIndex={0}>
        <table class="groups">
          <thead>
            <tr>
              <th scope="col">{count(series.length, "series", "series")}</th>
              <th scope="col">Last</th>
            </tr>
          </thead>
          <tbody>
            {series.map((one, index) => {
              const last = one.points.at(-1);
              return (
                <tr key={index}>
                  <td>{labelOf(one)}</td>
                  <td>
                    {last &&
                      (last.buckets
                        ? `${last.value} times, ${format(last.value ? (last.sum ?? 0) / last.value : 0)} on average`
                        : metric.type === "counter"
                          ? last.value.toLocaleString("en")
                          : format(last.value))}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      {exemplars.length > 0 && (
        <>
          <h3>Measured in</h3>
          <ul class="links">
            {exemplars.map(({ traceId, spanId, time, value }, index) => (
              <li key={index}>
                <a href={`/trace/${traceId}?span=${spanId}`}>
                  {format(value)} at {clockTime(time, utc.value)}
                </a>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

const WHAT = {
  counter: "A counter: shown as how many a second.",
  gauge: "Shown as it is.",
  histogram: "A histogram: half, 95 % and 99 % are below the lines.",
};

function Chart(props: {
  metric: WireMetric;
  series: readonly WireSeries[];
  format: (value: number) => string;
}) {
  const { metric, series, format } = props;
  const element = useRef<HTMLDivElement>(null);
  const lines = linesOf(metric, series);
  const hasPoints = lines.some(({ points }) => points.length > 0);
  useEffect(() => {
    let remove: (() => void) | undefined;
    let isGone = false;
    const draw = async () => {
      const { drawChart } = await import("./chart.ts");
      if (!isGone && element.current) remove = drawChart(element.current, lines, format);
    };
    if (hasPoints) void draw();
    return () => {
      isGone = true;
      remove?.();
    };
  }, [series, theme.value]);
  return (
    <>
      {!hasPoints && <p class="note">Two exports are needed for a first point.</p>}
      <div
        ref={element}
        class="chart"
        role="img"
        aria-label={`${metric.name} over time; the table below has the last values`}
      />
    </>
  );
}

/** Durations as people read them, bytes with their prefix, all else as a number. */
function formatOf({ unit, type }: WireMetric): (value: number) => string {
  const isRate = type === "counter";
  if (!isRate && unit === "s") return (value) => duration(value * 1_000_000_000);
  if (!isRate && unit === "ms") return (value) => duration(value * 1_000_000);
  if (!isRate && unit === "By") {
    return (value) => {
      const step = Math.min(3, Math.max(0, Math.floor(Math.log2(Math.max(1, value)) / 10)));
      return `${(value / 1024 ** step).toFixed(step === 0 ? 0 : 1)} ${["B", "KiB", "MiB", "GiB"][step]}`;
    };
  }
  return (value) => value.toLocaleString("en", { maximumFractionDigits: 3 }) + (isRate ? "/s" : "");
}
