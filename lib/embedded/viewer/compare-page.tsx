/** Two traces side by side, matched by structure. */
import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask } from "./api.ts";
import { compare, totalOf, type Change, type Compared } from "./comparison.ts";
import { count, dateTime, duration } from "./format.ts";
import { modelOf, type Trace } from "./model.ts";
import { colorOf, learnServices, Service } from "./service.tsx";
import { utc } from "./settings.ts";
import type { WireTrace } from "./wire.ts";

const STEP_PX = 14;
/** Of repeats in one row. */
const BARS_MAX = 200;
const MARKS: Readonly<Record<Change, string>> = {
  came: "+",
  went: "−",
  more: "+",
  fewer: "−",
  slower: "▲",
  faster: "▼",
  same: "",
};

/** @param ids the trace from before, and the one from after */
export function ComparePage({ ids }: { ids: readonly [string, string] }) {
  const traces = useSignal<readonly [Trace, Trace] | undefined>(undefined);
  const problem = useSignal("");
  const onlyChanges = useSignal(false);
  useEffect(() => {
    document.title = "Compare · OrderFlow";
    const load = async () => {
      const [before, after] = await Promise.all(
        ids.map((id) => ask<WireTrace>(`/api/view/trace/${id}`)),
      );
      if (!before || !after) return;
      learnServices(after.services);
      traces.value = [modelOf(before), modelOf(after)];
    };
    load().catch((error: unknown) => {
      problem.value = error instanceof Error ? error.message : String(error);
    });
  }, []);
  const rows = useComputed(() => (traces.value ? compare(...traces.value) : []));
  if (problem.value) {
    return (
      <p class="error" role="alert">
        {problem.value}
      </p>
    );
  }
  if (!traces.value) return null;
  const [before, after] = traces.value;
  const shown = onlyChanges.value
    ? rows.value.filter(({ change }) => change !== "same")
    : rows.value;
  // One scale for both: what is longer looks longer.
  const longest = Math.max(1, before.duration, after.duration);
  return (
    <>
      <h1>Two traces</h1>
      <div class="bar-above">
        <span role="status">{summary(rows.value)}</span>
        <span>
          <label>
            <input
              type="checkbox"
              checked={onlyChanges.value}
              onChange={(event) => (onlyChanges.value = event.currentTarget.checked)}
            />{" "}
            changes only
          </label>{" "}
          <a class="button" href={`/compare/${ids[1]}/${ids[0]}`}>
            The other way round
          </a>
        </span>
      </div>
      <div class="wide-table" role="region" aria-label="Both traces" tabIndex={0}>
        <table class="compare">
          <thead>
            <tr>
              <th scope="col">Span</th>
              <Head name="Before" trace={before} />
              <Head name="After" trace={after} />
              <th scope="col">Change</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <tr key={row.id} class={row.change}>
                <th
                  scope="row"
                  style={{ paddingLeft: `${10 + Math.min(20, row.depth) * STEP_PX}px` }}
                >
                  <Service name={row.service} /> {row.name}
                </th>
                <Cell trace={before} spans={row.before} longest={longest} />
                <Cell trace={after} spans={row.after} longest={longest} />
                <td>{changeText(row)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Head({ name, trace }: { name: string; trace: Trace }) {
  const [root] = trace.roots;
  return (
    <th scope="col">
      {name}: <a href={`/trace/${trace.traceId}`}>{root ? root.name : trace.traceId}</a>
      <br />
      <span class="faint">
        {duration(trace.duration)} · {count(trace.spans.length, "span")} ·{" "}
        {dateTime(Number(trace.baseNs / 1000n), utc.value)}
      </span>
    </th>
  );
}

function Cell({
  trace,
  spans,
  longest,
}: {
  trace: Trace;
  spans: Compared["before"];
  longest: number;
}) {
  const [first] = spans;
  if (!first) return <td class="faint">none</td>;
  const total = totalOf(spans);
  const failed = spans.filter((span) => span.failed).length;
  return (
    <td>
      <a href={`/trace/${trace.traceId}?span=${first.id}`}>{duration(total)}</a>
      {spans.length > 1 && ` × ${spans.length}`}
      {failed > 0 && <span class="error"> ✗ {failed}</span>}
      <span class="times" aria-hidden="true">
        {spans.slice(0, BARS_MAX).map((span) => (
          <span
            key={span.id}
            style={{
              left: `${(span.start / longest) * 100}%`,
              width: `${(span.duration / longest) * 100}%`,
              background: span.failed ? "var(--error)" : colorOf(span.service),
            }}
          />
        ))}
      </span>
    </td>
  );
}

function changeText(row: Compared): string {
  const mark = MARKS[row.change];
  const [was, is] = [totalOf(row.before), totalOf(row.after)];
  switch (row.change) {
    case "came":
      return `${mark} came`;
    case "went":
      return `${mark} went`;
    case "more":
    case "fewer":
      return `${mark} ${row.before.length} → ${row.after.length} times, ${signed(is - was)}`;
    case "slower":
    case "faster":
      return `${mark} ${signed(is - was)} (× ${(is / Math.max(1, was)).toFixed(2)})`;
    default:
      return "";
  }
}

function signed(ns: number): string {
  return ns < 0 ? `−${duration(-ns)}` : `+${duration(ns)}`;
}

function summary(rows: readonly Compared[]): string {
  const by = Map.groupBy(rows, ({ change }) => change);
  const told = (["came", "went", "more", "fewer", "slower", "faster"] as const)
    .filter((change) => by.has(change))
    .map((change) => `${by.get(change)?.length} ${change}`);
  return told.length === 0
    ? "Their structure is the same, and so are their times"
    : told.join(", ");
}
