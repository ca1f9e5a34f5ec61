/** What a person does with one trace: what is chosen, hidden, looked for, and which part of its time is seen. */
import { computed, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import {
  criticalPath,
  modelOf,
  rowsOf,
  skewsOf,
  spanContains,
  shiftsAgainstSkew,
  type CriticalPiece,
  type Row,
  type Skew,
  type Span,
  type Trace,
} from "./model.ts";
import { query, setQuery } from "./router.ts";
import { logRows } from "./settings.ts";
import type { WireTrace } from "./wire.ts";

/** A part of the trace's time, in nanoseconds after its first start. */
export interface TimeRange {
  readonly from: number;
  readonly to: number;
}

/** How the spans are shown. */
export type View = "tree" | "flame" | "table";

/** The state of the page of one trace. */
export interface TraceState {
  readonly trace: ReadonlySignal<Trace>;
  readonly rows: ReadonlySignal<readonly Row[]>;
  readonly collapsed: Signal<ReadonlySet<string>>;
  readonly unfolded: Signal<ReadonlySet<string>>;
  readonly foldRepeats: Signal<boolean>;
  readonly showCritical: Signal<boolean>;
  readonly critical: ReadonlySignal<ReadonlyMap<Span, readonly CriticalPiece[]>>;
  readonly skews: ReadonlySignal<readonly Skew[]>;
  readonly correctSkew: Signal<boolean>;
  /** Spans whose header is to be thought of as lost. */
  readonly lost: Signal<ReadonlySet<string>>;
  /** What is looked for; "" for nothing. */
  readonly sought: Signal<string>;
  readonly onlyFound: Signal<boolean>;
  readonly found: ReadonlySignal<ReadonlySet<Span>>;
  readonly range: Signal<TimeRange | undefined>;
  readonly shown: ReadonlySignal<TimeRange>;
  readonly selected: ReadonlySignal<Span | undefined>;
  readonly view: ReadonlySignal<View>;
}

/**
 * @param wire the trace as it came; a new one may take its place while the page is open
 * @param sinceNs nanoseconds since then; grows where spans are still open
 */
export function traceState(
  wire: ReadonlySignal<WireTrace>,
  sinceNs: ReadonlySignal<number>,
): TraceState {
  const correctSkew = signal(false);
  const plain = computed(() => modelOf(wire.value, undefined, undefined, sinceNs.value));
  const skews = computed(() => skewsOf(plain.value));
  const lost = signal<ReadonlySet<string>>(new Set());
  const trace = computed(() => {
    const shifts = correctSkew.value ? shiftsAgainstSkew(plain.value) : undefined;
    if (!shifts && lost.value.size === 0) return plain.value;
    return modelOf(wire.value, shifts, lost.value, sinceNs.value);
  });
  const collapsed = signal<ReadonlySet<string>>(new Set());
  const unfolded = signal<ReadonlySet<string>>(new Set());
  const foldRepeats = signal(true);
  const sought = signal(query.value.get("find") ?? "");
  const onlyFound = signal(false);
  const found = computed(() => {
    const text = sought.value.trim();
    return new Set(text ? trace.value.spans.filter((span) => spanContains(span, text)) : []);
  });
  const range = signal<TimeRange | undefined>(undefined);
  return {
    trace,
    collapsed,
    unfolded,
    foldRepeats,
    sought,
    onlyFound,
    found,
    range,
    skews,
    correctSkew,
    lost,
    showCritical: signal(true),
    critical: computed(() => criticalPath(trace.value)),
    shown: computed(() => range.value ?? { from: 0, to: Math.max(1, trace.value.duration) }),
    rows: computed(() =>
      rowsOf(trace.value, {
        collapsed: collapsed.value,
        unfolded: unfolded.value,
        foldRepeats: foldRepeats.value,
        logs: logRows.value,
        keep: onlyFound.value && sought.value.trim() ? found.value : undefined,
      }),
    ),
    selected: computed(() => {
      const id = query.value.get("span") ?? "";
      return trace.value.byId.get(id);
    }),
    view: computed(() => {
      const view = query.value.get("view");
      return view === "flame" || view === "table" ? view : "tree";
    }),
  };
}

/** Chooses a span; its address is the page's then. What hides it is opened. */
export function select(state: TraceState, span: Span | undefined): void {
  if (span) reveal(state, span);
  setQuery({ span: span?.id });
}

/** Opens all that hides a span. */
export function reveal(state: TraceState, span: Span): void {
  const collapsed = new Set(state.collapsed.value);
  for (let at = span.parent; at; at = at.parent) collapsed.delete(at.id);
  if (collapsed.size !== state.collapsed.value.size) state.collapsed.value = collapsed;
  const fold = state.rows.value.find(
    (row) => row.type === "fold" && !row.isOpen && row.spans.includes(span),
  );
  if (fold?.type === "fold") state.unfolded.value = new Set([...state.unfolded.value, fold.id]);
  if (state.onlyFound.value && !state.found.value.has(span)) state.onlyFound.value = false;
}

/** Shows or hides what is below a span, or the repeats of a row. */
export function toggle(set: Signal<ReadonlySet<string>>, id: string, on?: boolean): void {
  const next = new Set(set.value);
  if (on ?? !next.has(id)) next.add(id);
  else next.delete(id);
  set.value = next;
}
