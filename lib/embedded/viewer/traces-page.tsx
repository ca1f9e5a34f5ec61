/** All traces: searched, live, as a list, over time, and by operation. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ask, stats } from "./api.ts";
import { clockTime, count, dateTime, duration } from "./format.ts";
import { OpenFile } from "./import.tsx";
import { Points } from "./points.tsx";
import { parameter as value, query, setQuery } from "./router.ts";
import { learnServices, Service, services } from "./service.tsx";
import { utc } from "./settings.ts";
import { useLive } from "./use-live.ts";
import type { WireFacets, WireFound, WireGroup, WireSummary } from "./wire.ts";

const FIELDS = ["text", "service", "operation", "attribute", "status", "min", "max", "from", "to"];
const LIST_STEP = 100;

/** The page of all traces. */
export function TracesPage() {
  const limit = useSignal(LIST_STEP);
  const view = query.value.get("view") === "operations" ? "operations" : "list";
  const parameters = new URLSearchParams(query.value);
  parameters.set("limit", String(limit.value));
  if (view === "operations") parameters.set("groups", "1");
  const live = useLive<WireFound>(`/api/view/traces?${parameters}`, (found) => {
    learnServices(found.services);
    stats.value = found.stats;
  });
  const { problem, isPaused, missed } = live;
  useEffect(() => {
    document.title = "OrderFlow traces";
  }, []);

  const answer = live.answer.value;
  const isFiltered = FIELDS.some((name) => query.value.get(name));
  return (
    <>
      <h1 class="visually-hidden">Traces</h1>
      <SearchForm />
      {problem.value && (
        <p class="error" role="alert">
          {problem.value}
        </p>
      )}
      {answer && (
        <>
          <Points points={answer.points} />
          <div class="bar-above">
            <span role="status">
              {count(answer.matched, "trace")}
              {isFiltered && " found"}
              {answer.traces.length < answer.matched &&
                `, the newest ${answer.traces.length} shown`}
              {missed.value > 0 && ` · ${missed.value} changed since`}
            </span>
            <span>
              <OpenFile />{" "}
              <a class="button" href={`/api/view/export?${query.value}`} download>
                Save
              </a>{" "}
              <button type="button" aria-pressed={isPaused.value} onClick={live.togglePause}>
                {isPaused.value ? "Go on" : "Pause"}
              </button>
              <span role="group" aria-label="Show as" class="switch">
                <button
                  type="button"
                  aria-pressed={view === "list"}
                  onClick={() => setQuery({ view: undefined })}
                >
                  List
                </button>
                <button
                  type="button"
                  aria-pressed={view === "operations"}
                  onClick={() => setQuery({ view: "operations" })}
                >
                  By operation
                </button>
              </span>
            </span>
          </div>
          {answer.matched === 0 ? (
            <Nothing isFiltered={isFiltered} />
          ) : view === "list" ? (
            <List
              traces={answer.traces}
              more={answer.matched > answer.traces.length}
              onMore={() => (limit.value += LIST_STEP)}
            />
          ) : (
            <Groups groups={answer.groups} />
          )}
        </>
      )}
    </>
  );
}

function Nothing({ isFiltered }: { isFiltered: boolean }) {
  if (isFiltered) {
    return (
      <p class="note">
        No trace is like that. <a href="/">Show all</a>
      </p>
    );
  }
  return <p class="note">No traces yet: place an order, and it appears here by itself.</p>;
}

/** What stands in a field at first: what is typed stays while the page is drawn anew. */
function typed(name: string): { key: string; defaultValue: string } {
  return { key: name + value(name), defaultValue: value(name) };
}

function SearchForm() {
  const facets = useSignal<WireFacets>({ operations: [], keys: [] });
  const form = useRef<HTMLFormElement>(null);
  const service = query.value.get("service") ?? "";
  const suggest = async () => {
    facets.value = await ask<WireFacets>(
      `/api/view/facets?${new URLSearchParams({ service })}`,
    ).catch(() => facets.value);
  };
  useEffect(() => void suggest(), [service]);
  const submit = () => {
    const data = new FormData(form.current ?? undefined);
    const changes = Object.fromEntries(
      ["text", "service", "operation", "attribute", "status", "min", "max"].map((name) => [
        name,
        String(data.get(name) ?? "").trim(),
      ]),
    );
    setQuery(changes, "push");
  };
  return (
    <form
      ref={form}
      class="search"
      role="search"
      aria-label="Traces"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
      onFocusCapture={() => void suggest()}
    >
      <label class="wide">
        Text
        <input
          name="text"
          type="search"
          {...typed("text")}
          placeholder="an order's id, a customer, a file"
          onInput={(event) => event.currentTarget.value === "" && value("text") && submit()}
        />
      </label>
      <ServiceChoice service={service} onChange={submit} />
      <label>
        Operation
        <input name="operation" {...typed("operation")} list="operations" onChange={submit} />
        <Suggestions id="operations" values={facets.value.operations} />
      </label>
      <label>
        Attribute
        <input
          name="attribute"
          {...typed("attribute")}
          list="keys"
          placeholder="key=value"
          onChange={submit}
        />
        <Suggestions id="keys" values={facets.value.keys} />
      </label>
      <label>
        Status
        <select name="status" value={value("status")} onChange={submit}>
          <option value="">any</option>
          <option value="error">failed</option>
          <option value="ok">not failed</option>
        </select>
      </label>
      <label class="short">
        At least
        <input name="min" {...typed("min")} placeholder="100ms" onChange={submit} />
      </label>
      <label class="short">
        At most
        <input name="max" {...typed("max")} placeholder="1.5s" onChange={submit} />
      </label>
      <button type="submit">Search</button>
      {FIELDS.some((name) => value(name)) && (
        <a class="button" href="/">
          Clear
        </a>
      )}
      <ChosenTime />
    </form>
  );
}

/** A service; one that is not known yet is a choice all the same: the address may name it before the store has answered. */
function ServiceChoice({ service, onChange }: { service: string; onChange: () => void }) {
  const names =
    services.value.includes(service) || !service ? services.value : [...services.value, service];
  return (
    <label>
      Service
      <select name="service" value={service} onChange={onChange}>
        <option value="">all</option>
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Suggestions({ id, values }: { id: string; values: readonly string[] }) {
  return (
    <datalist id={id}>
      {values.map((name) => (
        <option key={name} value={name} />
      ))}
    </datalist>
  );
}

/** The part of time that was dragged among the points. */
function ChosenTime() {
  if (!value("from") && !value("to")) return null;
  return (
    <span class="chosen-time">
      {value("from") && `from ${dateTime(Number(value("from")), utc.value)} `}
      {value("to") && `to ${dateTime(Number(value("to")), utc.value)}`}{" "}
      <button type="button" onClick={() => setQuery({ from: "", to: "" }, "push")}>
        any time
      </button>
    </span>
  );
}

function List(props: { traces: readonly WireSummary[]; more: boolean; onMore: () => void }) {
  const longest = Math.max(1, ...props.traces.map(({ durationUs }) => durationUs));
  return (
    <>
      <ol class="traces">
        {props.traces.map((trace) => (
          <li key={trace.traceId}>
            <a href={`/trace/${trace.traceId}`}>
              <span class="title">
                <b>{trace.service}</b> {trace.name}
                {trace.open > 0 && (
                  <>
                    {" "}
                    <span class="badge pending">{trace.open} still open</span>
                  </>
                )}
                {!trace.hasRoot && <span class="warn"> its root has not come</span>}
              </span>
              <span class="figures">
                {trace.errors > 0 && <span class="error">✗ {trace.errors} failed </span>}
                <span>{duration(trace.durationUs * 1_000)}</span>
              </span>
              <span class="length" aria-hidden="true">
                <span style={{ width: `${(trace.durationUs / longest) * 100}%` }} />
              </span>
              <span class="services">
                {trace.services.map(([name, spans]) => (
                  <Service key={name} name={name} more={String(spans)} />
                ))}
                <time class="faint" dateTime={new Date(trace.startUs / 1_000).toISOString()}>
                  {clockTime(trace.startUs, utc.value)}
                </time>
              </span>
            </a>
          </li>
        ))}
      </ol>
      {props.more && (
        <button type="button" onClick={props.onMore}>
          More
        </button>
      )}
    </>
  );
}

function Groups({ groups }: { groups: readonly WireGroup[] }) {
  return (
    <div class="wide-table" role="region" aria-label="Spans by service and name" tabIndex={0}>
      <GroupsTable groups={groups} />
    </div>
  );
}

function GroupsTable({ groups }: { groups: readonly WireGroup[] }) {
  return (
    <table class="groups">
      <caption class="visually-hidden">Spans by service and name</caption>
      <thead>
        <tr>
          <th scope="col">Service</th>
          <th scope="col">Operation</th>
          <th scope="col">Spans</th>
          <th scope="col">A second</th>
          <th scope="col">Failed</th>
          <th scope="col">Half below</th>
          <th scope="col">95 % below</th>
          <th scope="col">99 % below</th>
        </tr>
      </thead>
      <tbody>
        {groups.map((group) => {
          const { service, name } = group;
          const href = `/?${new URLSearchParams({ service, operation: name })}`;
          return (
            <tr key={href}>
              <td>
                <Service name={service} />
              </td>
              <td>
                <a href={href}>{name}</a>
              </td>
              <td>{group.spans}</td>
              <td>{group.rate.toFixed(2)}</td>
              <td class={group.errors > 0 ? "error" : ""}>
                {group.errors > 0 && `${group.errors} (${percent(group.errors / group.spans)})`}
              </td>
              <td>{duration(group.p50 * 1_000)}</td>
              <td>{duration(group.p95 * 1_000)}</td>
              <td>{duration(group.p99 * 1_000)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}
