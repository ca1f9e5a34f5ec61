/** One trace: as a tree, a flame graph or a table, and the chosen span beside it. */
import { signal, useSignal, type Signal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { ask, onChange, StoreError } from "./api.ts";
import { CompareWith } from "./compare-with.tsx";
import { Flame } from "./flame.tsx";
import { count, dateTime, duration } from "./format.ts";
import { isTyping } from "./help.tsx";
import { Minimap } from "./minimap.tsx";
import { setQuery } from "./router.ts";
import { learnServices, Service } from "./service.tsx";
import { logRows, utc } from "./settings.ts";
import { SpanPanel } from "./span-panel.tsx";
import { SpanTable } from "./span-table.tsx";
import { select, traceState, type TraceState, type View } from "./trace-state.ts";
import type { Span } from "./model.ts";
import { Waterfall } from "./waterfall.tsx";
import type { WireTrace } from "./wire.ts";

/** The page of a trace; what comes later is shown when it comes. */
export function TracePage({ id }: { id: string }) {
  const wire = useSignal<WireTrace | undefined>(undefined);
  const problem = useSignal("");
  const load = async () => {
    try {
      const came = await ask<WireTrace>(`/api/view/trace/${id}`);
      learnServices(came.services);
      wire.value = came;
      problem.value = "";
    } catch (error) {
      problem.value =
        error instanceof StoreError
          ? "There is no such trace here, or not yet. If it comes, it appears."
          : "The store does not answer. What is shown is what it said last.";
    }
  };
  useEffect(() => {
    void load();
    const padded = id.toLowerCase().padStart(32, "0");
    return onChange(({ traceIds }) => {
      if (traceIds.includes(padded)) void load();
    });
  }, []);
  return (
    <>
      {problem.value && (
        <p class="note" role="alert">
          {problem.value}
        </p>
      )}
      {wire.value && <Loaded wire={wire.value} />}
    </>
  );
}

function Loaded({ wire }: { wire: WireTrace }) {
  const current = useMemo(() => signal(wire), []);
  current.value = wire;
  const sinceNs = useSinceNs(wire);
  const state = useMemo(() => traceState(current, sinceNs), []);
  const trace = state.trace.value;
  const [root] = trace.roots;
  const title = root ? `${root.service}: ${root.name}` : trace.traceId;
  useEffect(() => {
    document.title = `${title} · OrderFlow`;
  }, [title]);
  useEffect(() => {
    if (!state.selected.value && root) select(state, root);
  }, []);
  useKeys(state);
  const view = state.view.value;
  return (
    <>
      <h1>{title}</h1>
      <Facts state={state} />
      <Toolbar state={state} />
      <Minimap state={state} />
      <div class="trace">
        <section class="spans" aria-label="Spans">
          {view === "tree" && <Waterfall state={state} />}
          {view === "flame" && <Flame state={state} />}
          {view === "table" && <SpanTable state={state} />}
        </section>
        <SpanPanel state={state} />
      </div>
    </>
  );
}

/** Open spans grow so often. */
const GROW_EVERY_MS = 500;

/** @returns the time since a trace came, as long as it has spans that are under way */
function useSinceNs(wire: WireTrace): Signal<number> {
  const sinceNs = useSignal(0);
  useEffect(() => {
    sinceNs.value = 0;
    if (!wire.spans.some(({ open }) => open === "running")) return;
    const fromMs = performance.now();
    const timer = setInterval(() => {
      sinceNs.value = (performance.now() - fromMs) * 1_000_000;
    }, GROW_EVERY_MS);
    return () => clearInterval(timer);
  }, [wire]);
  return sinceNs;
}

function Facts({ state }: { state: TraceState }) {
  const trace = state.trace.value;
  const startUs = Number(trace.baseNs / 1000n);
  const [root] = trace.roots;
  const rootEnd = root ? root.start + root.duration : 0;
  const goesOn = root && trace.duration - rootEnd > 1_000_000;
  return (
    <div class="facts">
      <p>
        <b>{duration(trace.duration)}</b> · {count(trace.spans.length, "span")} ·{" "}
        {trace.failed > 0 ? (
          <button type="button" class="error plain" onClick={() => step(state, isFailed, 1)}>
            ✗ {trace.failed} failed
          </button>
        ) : (
          "none failed"
        )}{" "}
        · <time>{dateTime(startUs, utc.value)}</time> · <code>{trace.traceId}</code>
      </p>
      <p class="services">
        {trace.services.map((name) => (
          <Service
            key={name}
            name={name}
            more={String(trace.spans.filter(({ service }) => service === name).length)}
          />
        ))}
      </p>
      {goesOn && (
        <p class="told">
          Its root ended after {duration(rootEnd)}; {duration(trace.duration - rootEnd)} more were
          for what came after it.
        </p>
      )}
      <StillOpen state={state} />
      {state.lost.value.size > 0 && (
        <p class="told warn" role="status">
          As it would be without {count(state.lost.value.size, "header")}:{" "}
          {count(trace.roots.length, "trace")} in place of one.{" "}
          <button type="button" onClick={() => (state.lost.value = new Set())}>
            As it was
          </button>
        </p>
      )}
      {trace.missingParents > 0 && (
        <p class="told warn">
          {count(trace.missingParents, "span names", "spans name")} a parent that is not here: it
          has not ended yet, was not sampled, or was lost.
        </p>
      )}
      {state.skews.value.length > 0 && (
        <p class="told warn">
          {count(state.skews.value.length, "call seems", "calls seem")} to have been answered
          outside of its own time: clocks of two machines differ.{" "}
          <button
            type="button"
            aria-pressed={state.correctSkew.value}
            onClick={() => (state.correctSkew.value = !state.correctSkew.value)}
          >
            Correct it
          </button>
        </p>
      )}
    </div>
  );
}

/** What has not ended, and whose programs have fallen silent. */
function StillOpen({ state }: { state: TraceState }) {
  const { open } = state.trace.value;
  if (open.length === 0) return null;
  const silent = open.filter((span) => span.open === "silent");
  const services = [...new Set(silent.map(({ service }) => service))].join(", ");
  return (
    <p class="told">
      <button type="button" class="plain link" onClick={() => step(state, isOpen, 1)}>
        {count(open.length, "span has", "spans have")} not ended
      </button>{" "}
      yet.
      {silent.length > 0 && (
        <span class="warn">
          {" "}
          Nothing is heard of {services} any more: it was killed, or hangs as a whole.
        </span>
      )}
    </p>
  );
}

function Toolbar({ state }: { state: TraceState }) {
  const { traceId, logs } = state.trace.value;
  return (
    <div class="toolbar">
      <Find state={state} />
      <span class="tools">
        <Switch
          of={state.showCritical}
          title="The pieces that the whole duration is made of (c)"
          text="Critical path"
        />
        <Switch
          of={state.foldRepeats}
          title="Siblings that say the same in one row (f)"
          text="Fold repeats"
        />
        {logs.length > 0 && (
          <Switch of={logRows} title="Log records among the spans (l)" text="Log rows" />
        )}
        <button type="button" onClick={() => collapseAll(state)}>
          Collapse
        </button>
        <button type="button" onClick={() => (state.collapsed.value = new Set())}>
          Expand
        </button>
        <CompareWith trace={state.trace.value} />
        <a class="button" href={`/api/view/export?trace=${traceId}`} download>
          Save
        </a>
        <a class="button" href={`/logs?trace=${traceId}`}>
          Logs
        </a>
        <span role="group" aria-label="Show as" class="switch">
          {(["tree", "flame", "table"] as const).map((view: View) => (
            <button
              key={view}
              type="button"
              aria-pressed={state.view.value === view}
              onClick={() => setQuery({ view: view === "tree" ? undefined : view })}
            >
              {view[0]?.toUpperCase() + view.slice(1)}
            </button>
          ))}
        </span>
      </span>
    </div>
  );
}

/** A button that is pressed while something is on. */
function Switch(props: { of: Signal<boolean>; title: string; text: string }) {
  const { of: isOn, title, text } = props;
  return (
    <button
      type="button"
      aria-pressed={isOn.value}
      title={title}
      onClick={() => (isOn.value = !isOn.value)}
    >
      {text}
    </button>
  );
}

function Find({ state }: { state: TraceState }) {
  return (
    <search>
      <label>
        <span class="visually-hidden">Find in this trace</span>
        <input
          id="find"
          type="search"
          placeholder="Find: a text, key=value   ( / )"
          value={state.sought.value}
          onInput={(event) => (state.sought.value = event.currentTarget.value)}
          onChange={() => setQuery({ find: state.sought.value.trim() })}
          onKeyDown={(event) => {
            if (event.key === "Enter") step(state, isFound(state), event.shiftKey ? -1 : 1);
            if (event.key === "Escape") event.currentTarget.blur();
          }}
        />
      </label>
      {state.sought.value.trim() !== "" && (
        <>
          <span role="status">{count(state.found.value.size, "span")}</span>
          <button
            type="button"
            aria-label="Previous"
            onClick={() => step(state, isFound(state), -1)}
          >
            ↑
          </button>
          <button type="button" aria-label="Next" onClick={() => step(state, isFound(state), 1)}>
            ↓
          </button>
          <label>
            <input
              type="checkbox"
              checked={state.onlyFound.value}
              onChange={(event) => (state.onlyFound.value = event.currentTarget.checked)}
            />{" "}
            these only
          </label>
        </>
      )}
    </search>
  );
}

/** Hides all below the roots' children. */
function collapseAll(state: TraceState): void {
  const inner = state.trace.value.spans.filter(
    ({ depth, children }) => depth > 0 && children.length > 0,
  );
  state.collapsed.value = new Set(inner.map(({ id }) => id));
}

const isOpen = (span: Span) => span.open !== undefined;
const isFailed = (span: Span) => span.failed;
const isFound = (state: TraceState) => (span: Span) => state.found.value.has(span);

/** Chooses the next span that is so, or the one before; past the end it begins anew. */
function step(state: TraceState, is: (span: Span) => boolean, by: 1 | -1): void {
  const { spans } = state.trace.value;
  const selected = state.selected.value;
  const at = selected ? spans.indexOf(selected) : -1;
  for (let i = 1; i <= spans.length; i++) {
    const span = spans[(at + by * i + spans.length * 2) % spans.length];
    if (span && is(span)) return select(state, span);
  }
}

function useKeys(state: TraceState): void {
  const latest = useRef(state);
  latest.current = state;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (isTyping(event) || document.querySelector("dialog[open]")) return;
      if (act(event.key, latest.current)) event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

/** @returns whether the key is one of ours; the grid has its own for moving */
function act(key: string, state: TraceState): boolean {
  const selected = state.selected.value;
  const actions: Readonly<Record<string, () => void>> = {
    "/": () => document.getElementById("find")?.focus(),
    n: () => step(state, isFound(state), 1),
    N: () => step(state, isFound(state), -1),
    e: () => step(state, isFailed, 1),
    E: () => step(state, isFailed, -1),
    c: () => (state.showCritical.value = !state.showCritical.value),
    l: () => (logRows.value = !logRows.value),
    f: () => (state.foldRepeats.value = !state.foldRepeats.value),
    "0": () => (state.range.value = undefined),
    "+": () => zoom(state, selected, 0.5),
    "-": () => zoom(state, selected, 2),
    Escape: () => {
      state.sought.value = "";
      setQuery({ find: undefined });
    },
  };
  const action = actions[key];
  action?.();
  return action !== undefined;
}

/** Makes the part that is seen shorter or longer, around the chosen span. */
function zoom(state: TraceState, span: Span | undefined, factor: number): void {
  const whole = state.trace.value.duration;
  const { from, to } = state.shown.value;
  const length = Math.max(1_000, (to - from) * factor);
  if (length >= whole) {
    state.range.value = undefined;
    return;
  }
  const middle = span ? span.start + span.duration / 2 : (from + to) / 2;
  const start = Math.min(Math.max(0, middle - length / 2), whole - length);
  state.range.value = { from: start, to: start + length };
}
