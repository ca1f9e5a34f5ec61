/** The spans as a tree, each with its time on a common axis; only what is seen is in the page. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { duration, took } from "./format.ts";
import { attributeOf, isNPlusOne, textOf, type Row, type Span } from "./model.ts";
import { colorOf } from "./service.tsx";
import { select, toggle, type TimeRange, type TraceState } from "./trace-state.ts";
import { useVirtualRows } from "./virtual-rows.ts";
import type { WireOpenState } from "./wire.ts";

const ROW_PX = 26;
/** The tree's steps stop there: a chain of a thousand spans would leave no room for names. */
const DEPTH_MAX_SHOWN = 24;
const STEP_PX = 13;
/** A row is one line. */
const LOG_CHARS_SHOWN = 300;

/** A treegrid, as WAI-ARIA has it: one of its rows is the active one, and the keys move from row to row. */
export function Waterfall({ state }: { state: TraceState }) {
  const grid = useRef<HTMLDivElement>(null);
  const rows = state.rows.value;
  const virtual = useVirtualRows(grid, rows.length, ROW_PX);
  const drawn = usePrinting() ? allRows(rows.length) : virtual.items;
  const selected = state.selected.value;
  const active = rows.findIndex((row) => row.type === "span" && row.span === selected);
  useEffect(() => {
    if (active >= 0) virtual.show(active);
  }, [selected]);
  const { shown } = state;
  return (
    <div class="waterfall">
      <div class="axis" aria-hidden="true">
        <div>Span</div>
        <div class="marks">
          {[0, 0.25, 0.5, 0.75, 1].map((share) => (
            <span key={share} style={{ left: `${share * 100}%` }}>
              {duration(shown.value.from + (shown.value.to - shown.value.from) * share)}
            </span>
          ))}
        </div>
      </div>
      <div
        ref={grid}
        class="rows"
        role="treegrid"
        aria-label="Spans"
        aria-rowcount={rows.length}
        aria-colcount={2}
        tabIndex={0}
        aria-activedescendant={active >= 0 ? `row-${active}` : undefined}
        onKeyDown={(event) => {
          if (event.ctrlKey || event.metaKey || event.altKey) return;
          if (move(event.key, state, active)) event.preventDefault();
        }}
      >
        <div class="sizer" role="rowgroup" style={{ height: `${virtual.height}px` }}>
          {drawn.map(({ index, start }) => {
            const row = rows[index];
            if (!row) return null;
            if (row.type === "log") {
              return (
                <LogRow key={`log ${index}`} state={state} row={row} index={index} top={start} />
              );
            }
            return row.type === "span" ? (
              <SpanRow
                key={row.span.id + index}
                state={state}
                row={row}
                index={index}
                top={start}
              />
            ) : (
              <FoldRow key={row.id} state={state} row={row} index={index} top={start} />
            );
          })}
        </div>
      </div>
    </div>
  );
}

/** On paper nobody scrolls: there all rows are drawn, as many as anybody would print. */
const PRINTED_ROWS_MAX = 2_000;

function allRows(count: number): { index: number; start: number }[] {
  return Array.from({ length: Math.min(count, PRINTED_ROWS_MAX) }, (_, index) => ({
    index,
    start: index * ROW_PX,
  }));
}

/** @returns whether the page is being printed */
function usePrinting(): boolean {
  const printing = useSignal(false);
  useEffect(() => {
    // It is drawn anew in a microtask, which is before the paper is: events end with these.
    const begin = () => (printing.value = true);
    const end = () => (printing.value = false);
    addEventListener("beforeprint", begin);
    addEventListener("afterprint", end);
    return () => {
      removeEventListener("beforeprint", begin);
      removeEventListener("afterprint", end);
    };
  }, []);
  return printing.value;
}

/** @returns whether it was one of the grid's keys */
function move(key: string, state: TraceState, active: number): boolean {
  const rows = state.rows.value;
  const to = (index: number, by: 1 | -1) => {
    for (let i = index; i >= 0 && i < rows.length; i += by) {
      const row = rows[i];
      if (row?.type === "span") return select(state, row.span);
    }
  };
  const span = state.selected.value;
  const isClosed = span !== undefined && state.collapsed.value.has(span.id);
  switch (key) {
    case "ArrowDown":
      to(active + 1, 1);
      return true;
    case "ArrowUp":
      to(active - 1, -1);
      return true;
    case "PageDown":
      to(Math.min(rows.length - 1, active + 20), -1);
      return true;
    case "PageUp":
      to(Math.max(0, active - 20), 1);
      return true;
    case "Home":
      to(0, 1);
      return true;
    case "End":
      to(rows.length - 1, -1);
      return true;
    case "ArrowLeft":
      if (span && span.children.length > 0 && !isClosed) toggle(state.collapsed, span.id, true);
      else if (span?.parent) select(state, span.parent);
      return true;
    case "ArrowRight":
      if (span && isClosed) toggle(state.collapsed, span.id, false);
      else if (span?.children[0]) select(state, span.children[0]);
      return true;
    default:
      return false;
  }
}

interface RowProps<R extends Row> {
  readonly state: TraceState;
  readonly row: R;
  readonly index: number;
  readonly top: number;
}

function SpanRow({ state, row, index, top }: RowProps<Extract<Row, { type: "span" }>>) {
  const { span } = row;
  const isSelected = state.selected.value === span;
  const isFound = state.found.value.has(span);
  const hasChildren = span.children.length > 0;
  const isOpen = hasChildren && !state.collapsed.value.has(span.id);
  const classes = ["row"];
  if (span.failed) classes.push("failed");
  if (isSelected) classes.push("selected");
  if (isFound) classes.push("found");
  const retries = span.events.filter(({ name }) => name === "retry").length;
  const resend = attributeOf(span, "http.request.resend_count");
  return (
    <div
      id={`row-${index}`}
      class={classes.join(" ")}
      role="row"
      aria-level={row.depth + 1}
      aria-rowindex={index + 1}
      aria-selected={isSelected}
      aria-expanded={hasChildren ? isOpen : undefined}
      data-span-id={span.id}
      style={{ transform: `translateY(${top}px)`, "--service": colorOf(span.service) }}
      onClick={() => select(state, span)}
    >
      <div class="name" role="gridcell">
        <Indent depth={row.depth} />
        {hasChildren ? (
          <button
            type="button"
            class="twist"
            tabIndex={-1}
            aria-label={
              isOpen ? `Hide what is below ${span.name}` : `Show what is below ${span.name}`
            }
            onClick={(event) => {
              event.stopPropagation();
              toggle(state.collapsed, span.id);
            }}
          >
            {isOpen ? "▾" : "▸"}
          </button>
        ) : (
          <span class="twist" />
        )}
        <span class="swatch" aria-hidden="true" />
        {span.isOrphan && (
          <span class="warn" title="Its parent is not here">
            ?{" "}
          </span>
        )}
        {span.failed && <span class="error">✗ </span>}
        <b>{span.service}</b> <span class="what">{span.name}</span>
        <Target span={span} />
        {span.open && <OpenBadge of={span.open} />}
        {span.isCut && <span class="badge warn">a trace of its own</span>}
        {Number(resend) > 0 && <span class="badge">try {Number(resend) + 1}</span>}
        {retries > 0 && (
          <span class="badge">{retries === 1 ? "1 retry" : `${retries} retries`}</span>
        )}
        {span.logs.length > 0 && <span class="badge quiet">{span.logs.length} log</span>}
        {row.hidden > 0 && (
          <span class={span.failedBelow > 0 ? "badge error" : "badge"}>
            {row.hidden} hidden{span.failedBelow > 0 && `, ${span.failedBelow} failed`}
          </span>
        )}
      </div>
      <div
        class="lane"
        role="gridcell"
        aria-label={`${took(span)}, ${duration(span.start)} after the start`}
      >
        <Bar span={span} range={state.shown.value} />
        {state.showCritical.value &&
          state.critical.value.get(span)?.map(({ from, to }) => {
            const place = placeOf(from, to - from, state.shown.value);
            return place && <span key={from} class="critical" style={place} />;
          })}
      </div>
    </div>
  );
}

function OpenBadge({ of }: { of: WireOpenState }) {
  if (of === "silent") {
    return (
      <span class="badge warn" title="Its program says nothing any more: killed, or it hangs">
        silent
      </span>
    );
  }
  return (
    <span class="badge pending" title="It has not ended yet">
      still open
    </span>
  );
}

/** Where a call went to, which its name does not say. */
function Target({ span }: { span: Span }) {
  if (span.kind !== 3) return null;
  const url = attributeOf(span, "url.full");
  if (typeof url !== "string") return null;
  const path = /^[a-z]+:\/\/[^/]*(\/[^?#]*)/i.exec(url)?.[1] ?? url;
  const port = attributeOf(span, "server.port");
  return (
    <span class="faint">
      {" "}
      {String(attributeOf(span, "server.address") ?? "")}
      {port === undefined ? "" : `:${String(port)}`}
      {path}
    </span>
  );
}

/** A log record, where it was written. */
function LogRow({ state, row, index, top }: RowProps<Extract<Row, { type: "log" }>>) {
  const { log, span } = row;
  const { from, to } = state.shown.value;
  const at = (log.time - from) / (to - from);
  const level = log.severity >= 17 ? "error" : log.severity >= 13 ? "warn" : "quiet";
  return (
    <div
      id={`row-${index}`}
      class="row log-row"
      role="row"
      aria-level={row.depth + 1}
      aria-rowindex={index + 1}
      style={{ transform: `translateY(${top}px)`, "--service": colorOf(log.service) }}
      onClick={() => select(state, span)}
    >
      <div class="name" role="gridcell">
        <Indent depth={row.depth} />
        <span class="twist" />
        <span class={`level ${level}`}>{log.severityText || "log"}</span>
        <span class="what">{textOf(log.body).slice(0, LOG_CHARS_SHOWN)}</span>
      </div>
      <div
        class="lane"
        role="gridcell"
        aria-label={`${duration(Math.max(0, log.time))} after the start`}
      >
        {at >= 0 && at <= 1 && <span class="event" style={{ left: `${at * 100}%` }} />}
      </div>
    </div>
  );
}

function Indent({ depth }: { depth: number }) {
  return (
    <span class="indent" style={{ width: `${Math.min(depth, DEPTH_MAX_SHOWN) * STEP_PX}px` }}>
      {depth > DEPTH_MAX_SHOWN && depth}
    </span>
  );
}

function FoldRow({ state, row, index, top }: RowProps<Extract<Row, { type: "fold" }>>) {
  const { spans } = row;
  const [first] = spans;
  const last = spans.at(-1);
  if (!first || !last) return null;
  const total = spans.reduce((sum, span) => sum + span.duration, 0);
  const isLoop = isNPlusOne(spans);
  return (
    <div
      id={`row-${index}`}
      class={first.failed ? "row fold failed" : "row fold"}
      role="row"
      aria-level={row.depth + 1}
      aria-rowindex={index + 1}
      aria-expanded={row.isOpen}
      data-span-id={first.id}
      data-span-ids={spans.map(({ id }) => id).join(" ")}
      style={{ transform: `translateY(${top}px)`, "--service": colorOf(first.service) }}
      onClick={() => toggle(state.unfolded, row.id)}
    >
      <div class="name" role="gridcell">
        <Indent depth={row.depth} />
        <button
          type="button"
          class="twist"
          tabIndex={-1}
          aria-label={row.isOpen ? `Fold the ${spans.length}` : `Show the ${spans.length}`}
        >
          {row.isOpen ? "▾" : "▸"}
        </button>
        <span class="swatch" aria-hidden="true" />
        {first.failed && <span class="error">✗ </span>}
        <b>{first.service}</b> <span class="what">{first.name}</span>
        <span class="badge">× {spans.length}</span>
        {isLoop && (
          <span
            class="badge warn"
            title="The same statement again and again, one after the other: one for all would do"
          >
            N+1
          </span>
        )}
      </div>
      <div
        class="lane"
        role="gridcell"
        aria-label={`${spans.length} times, ${duration(total)} together`}
      >
        {spans.slice(0, 200).map((span) => {
          const place = placeOf(span.start, span.duration, state.shown.value);
          return place && <span key={span.id} class="bar" style={place} />;
        })}
        <Took
          start={first.start}
          end={last.start + last.duration}
          text={`${duration(total)} together`}
          range={state.shown.value}
        />
      </div>
    </div>
  );
}

function Bar({ span, range }: { span: Span; range: TimeRange }) {
  const place = placeOf(span.start, span.duration, range);
  return (
    <>
      {place && <span class={span.open ? "bar pending" : "bar"} style={place} />}
      {span.events.map((event, index) => {
        const at = (event.time - range.from) / (range.to - range.from);
        if (at < 0 || at > 1) return null;
        return (
          <span key={index} class="event" title={event.name} style={{ left: `${at * 100}%` }} />
        );
      })}
      <Took start={span.start} end={span.start + span.duration} text={took(span)} range={range} />
    </>
  );
}

/** The time stands beside the bar where there is room: after it, or before it; else on it. */
function Took(props: { start: number; end: number; text: string; range: TimeRange }) {
  const { range } = props;
  const length = range.to - range.from;
  const from = Math.max(0, (props.start - range.from) / length);
  const to = Math.min(1, (props.end - range.from) / length);
  if (to < 0 || from > 1) return null;
  if (to <= 0.82) {
    return (
      <span class="took" style={{ left: `${to * 100}%` }}>
        {props.text}
      </span>
    );
  }
  if (from >= 0.18) {
    return (
      <span class="took" style={{ right: `${(1 - from) * 100}%` }}>
        {props.text}
      </span>
    );
  }
  return (
    <span class="took inside" style={{ right: `${(1 - to) * 100}%` }}>
      {props.text}
    </span>
  );
}

/** @returns where a bar stands in what is seen; undefined where it does not */
function placeOf(
  start: number,
  length: number,
  { from, to }: TimeRange,
): { left: string; width: string } | undefined {
  const whole = to - from;
  const left = Math.max(0, (start - from) / whole);
  const right = Math.min(1, (start + length - from) / whole);
  if (right < 0 || left > 1) return undefined;
  return { left: `${left * 100}%`, width: `${Math.max(0, right - left) * 100}%` };
}
