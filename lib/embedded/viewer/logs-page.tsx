/** All log records: searched, live, each with the way to its trace. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { stats } from "./api.ts";
import { clockTime, count } from "./format.ts";
import { textOf } from "./model.ts";
import { parameter as value, query, setQuery } from "./router.ts";
import { learnServices, Service, services } from "./service.tsx";
import { utc } from "./settings.ts";
import { Attributes } from "./span-panel.tsx";
import { useLive } from "./use-live.ts";
import type { WireLogLine, WireLogs } from "./wire.ts";

const LIST_STEP = 200;
/** OTLP's numbers from which on a record is at least that. */
const SEVERITIES = [
  ["", "any"],
  ["5", "debug"],
  ["9", "info"],
  ["13", "warn"],
  ["17", "error"],
] as const;

/** The page of log records. */
export function LogsPage() {
  const limit = useSignal(LIST_STEP);
  const form = useRef<HTMLFormElement>(null);
  const parameters = new URLSearchParams(query.value);
  parameters.set("limit", String(limit.value));
  const live = useLive<WireLogs>(`/api/view/logs?${parameters}`, (found) => {
    learnServices(found.services);
    stats.value = found.stats;
  });
  useEffect(() => {
    document.title = "Logs · OrderFlow";
  }, []);
  const submit = () => {
    const data = new FormData(form.current ?? undefined);
    const changes = ["text", "service", "severity"].map((name) => [
      name,
      String(data.get(name) ?? "").trim(),
    ]);
    setQuery(Object.fromEntries(changes), "push");
  };
  const answer = live.answer.value;
  return (
    <>
      <h1 class="visually-hidden">Logs</h1>
      <form
        ref={form}
        class="search"
        role="search"
        aria-label="Logs"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <label class="wide">
          Text
          <input key={value("text")} name="text" type="search" defaultValue={value("text")} />
        </label>
        <label>
          Service
          <select name="service" value={value("service")} onChange={submit}>
            <option value="">all</option>
            {services.value.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <label>
          At least
          <select name="severity" value={value("severity")} onChange={submit}>
            {SEVERITIES.map(([number, name]) => (
              <option key={number} value={number}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <button type="submit">Search</button>
        {value("trace") && (
          <button type="button" onClick={() => setQuery({ trace: undefined }, "push")}>
            of trace {value("trace").slice(0, 8)}… ×
          </button>
        )}
      </form>
      {live.problem.value && (
        <p class="error" role="alert">
          {live.problem.value}
        </p>
      )}
      {answer && (
        <>
          <div class="bar-above">
            <span role="status">
              {count(answer.matched, "record")}
              {answer.lines.length < answer.matched && `, the newest ${answer.lines.length} shown`}
            </span>
            <button type="button" aria-pressed={live.isPaused.value} onClick={live.togglePause}>
              {live.isPaused.value ? "Go on" : "Pause"}
            </button>
          </div>
          <ol class="log-lines">
            {answer.lines.map((line, index) => (
              <Line key={`${line.timeUs} ${line.spanId} ${index}`} line={line} />
            ))}
          </ol>
          {answer.matched === 0 && <p class="note">No log record is like that.</p>}
          {answer.lines.length < answer.matched && (
            <button type="button" onClick={() => (limit.value += LIST_STEP)}>
              More
            </button>
          )}
        </>
      )}
    </>
  );
}

function Line({ line }: { line: WireLogLine }) {
  const isOpen = useSignal(false);
  const kind = line.severity >= 17 ? "error" : line.severity >= 13 ? "warn" : "";
  return (
    <li class={kind}>
      <div class="log-line">
        <time class="faint" dateTime={new Date(line.timeUs / 1_000).toISOString()}>
          {clockTime(line.timeUs, utc.value)}
        </time>
        <span class="severity">{line.severityText || line.severity || ""}</span>
        <Service name={line.service} />
        <span class="body">
          <bdi>{textOf(line.body ?? "").slice(0, 2_000)}</bdi>
        </span>
        {line.traceId && (
          <a href={`/trace/${line.traceId}${line.spanId && `?span=${line.spanId}`}`}>trace</a>
        )}
        {line.attributes.length > 0 && (
          <button
            type="button"
            class="plain"
            aria-expanded={isOpen.value}
            aria-label={`Attributes of ${textOf(line.body ?? "").slice(0, 60)}`}
            onClick={() => (isOpen.value = !isOpen.value)}
          >
            {isOpen.value ? "▾" : "▸"} {line.attributes.length}
          </button>
        )}
      </div>
      {isOpen.value && <Attributes attributes={line.attributes} />}
    </li>
  );
}
