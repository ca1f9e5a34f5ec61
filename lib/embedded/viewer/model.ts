/** A trace as its page thinks of it: a tree, with what can be worked out of it. */
import type {
  Attribute,
  WireLink,
  WireLog,
  WireOpenState,
  WireResource,
  WireScope,
  WireTrace,
} from "./wire.ts";

/** A span in its place. Times are nanoseconds after the trace's first start. */
export interface Span {
  readonly id: string;
  readonly parentId: string | undefined;
  readonly service: string;
  readonly resource: WireResource;
  readonly scope: WireScope;
  readonly name: string;
  readonly kind: number;
  readonly start: number;
  readonly duration: number;
  /** Undefined where it has ended. */
  readonly open: WireOpenState | undefined;
  readonly failed: boolean;
  readonly status: number;
  readonly message: string;
  readonly traceState: string;
  readonly flags: number;
  readonly attributes: readonly Attribute[];
  readonly events: readonly SpanEvent[];
  readonly links: readonly WireLink[];
  readonly logs: readonly WireLog[];
  /** In the order of their starts. */
  readonly children: readonly Span[];
  readonly parent: Span | undefined;
  readonly depth: number;
  /** Names a parent that has not come. */
  readonly isOrphan: boolean;
  /** Would be the root of a trace of its own if the header that it was made of had been lost. */
  readonly isCut: boolean;
  /** When the last span of its subtree ends. */
  readonly subtreeEnd: number;
  /** How many spans are below it, and how many of these failed. */
  readonly below: number;
  readonly failedBelow: number;
  /** Time in which none of its children was under way. */
  readonly self: number;
}

/** A moment of a span. */
export interface SpanEvent {
  readonly time: number;
  readonly name: string;
  readonly attributes: readonly Attribute[];
}

/** The whole of it. */
export interface Trace {
  readonly traceId: string;
  readonly baseNs: bigint;
  /** From the first start to the last end. */
  readonly duration: number;
  /** Depth first. */
  readonly spans: readonly Span[];
  readonly roots: readonly Span[];
  readonly byId: ReadonlyMap<string, Span>;
  /** In the order of their first spans. */
  readonly services: readonly string[];
  readonly failed: number;
  /** Those that have not ended. */
  readonly open: readonly Span[];
  readonly missingParents: number;
  readonly logs: readonly WireLog[];
  readonly wire: WireTrace;
}

type Draft = { -readonly [K in Exclude<keyof Span, "children" | "parent">]: Span[K] } & {
  children: Draft[];
  parent: Draft | undefined;
  order: number;
};

/**
 * Sorts a trace's spans into a tree; spans whose parents have not come stand as roots.
 * @param shifts nanoseconds to move spans by, by their ids
 * @param lost spans whose header is to be thought of as lost
 * @param sinceNs nanoseconds since the trace came: so much longer its open spans are under way
 */
export function modelOf(
  wire: WireTrace,
  shifts: ReadonlyMap<string, number> = new Map(),
  lost: ReadonlySet<string> = new Set(),
  sinceNs = 0,
): Trace {
  const logsOf = Map.groupBy(wire.logs, ({ span }) => span);
  const drafts = wire.spans.map((span, order): Draft => {
    const resource = wire.resources[span.resource] ?? { service: "", attributes: [] };
    const shift = shifts.get(span.id) ?? 0;
    return {
      id: span.id,
      parentId: span.parent,
      service: resource.service,
      resource,
      scope: wire.scopes[span.scope] ?? { name: "", version: "" },
      name: span.name,
      kind: span.kind,
      start: span.start + shift,
      duration: span.duration + (span.open === "running" ? sinceNs : 0),
      open: span.open,
      failed: span.status === 2,
      status: span.status ?? 0,
      message: span.message ?? "",
      traceState: span.traceState ?? "",
      flags: span.flags ?? 0,
      attributes: span.attributes,
      events: (span.events ?? []).map(([time, name, attributes]) => ({
        time: time + shift,
        name,
        attributes,
      })),
      links: span.links ?? [],
      logs: logsOf.get(span.id) ?? [],
      children: [],
      parent: undefined,
      depth: 0,
      isOrphan: false,
      isCut: lost.has(span.id),
      subtreeEnd: 0,
      below: 0,
      failedBelow: 0,
      self: 0,
      order,
    };
  });
  const byId = new Map<string, Draft>();
  // An id that stands twice is the first one's: the other's children hang there, too.
  for (const draft of drafts) if (!byId.has(draft.id)) byId.set(draft.id, draft);
  const roots = connect(drafts, byId);
  const spans: Draft[] = [];
  for (const root of roots) flatten(root, 0, spans);
  const first = Math.min(0, ...roots.map(({ start }) => start));
  const end = spans.reduce((latest, { subtreeEnd }) => Math.max(latest, subtreeEnd), 0);
  return {
    traceId: wire.traceId,
    baseNs: BigInt(wire.baseNs),
    duration: end - first,
    spans,
    roots,
    byId,
    services: [...new Set([...drafts].sort(byStart).map(({ service }) => service))],
    failed: spans.filter(({ failed }) => failed).length,
    open: spans.filter(({ open }) => open !== undefined),
    missingParents: spans.filter(({ isOrphan }) => isOrphan).length,
    logs: wire.logs,
    wire,
  };
}

/** @returns the roots, with all others below them */
function connect(drafts: readonly Draft[], byId: ReadonlyMap<string, Draft>): Draft[] {
  const roots: Draft[] = [];
  for (const draft of drafts) {
    const parentId = draft.isCut ? undefined : draft.parentId;
    const parent = parentId === undefined ? undefined : byId.get(parentId);
    if (parent && !isAbove(draft, parent)) {
      draft.parent = parent;
      parent.children.push(draft);
    } else {
      draft.isOrphan = parentId !== undefined;
      roots.push(draft);
    }
  }
  for (const { children } of drafts) children.sort(byStart);
  return roots.sort(byStart);
}

/** Whether `draft` is `other` or above it: a loop of parents has to be cut somewhere. */
function isAbove(draft: Draft, other: Draft): boolean {
  for (let at: Span | undefined = other; at; at = at.parent) if (at === draft) return true;
  return false;
}

/** Of one start, those that came first: a process sends its spans in the order of their ends. */
function byStart(a: Draft, b: Draft): number {
  return a.start - b.start || a.order - b.order;
}

/** Depth first, without recursion: a chain may be as long as a trace has spans. */
function flatten(root: Draft, depth: number, spans: Draft[]): void {
  const stack: { draft: Draft; next: number }[] = [{ draft: root, next: 0 }];
  root.depth = depth;
  spans.push(root);
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    const child = top.draft.children[top.next++];
    if (child) {
      child.depth = top.draft.depth + 1;
      spans.push(child);
      stack.push({ draft: child, next: 0 });
    } else {
      finish(top.draft);
      stack.pop();
    }
  }
}

/** All below it are finished. */
function finish(draft: Draft): void {
  const end = draft.start + draft.duration;
  draft.subtreeEnd = end;
  let covered = 0;
  let coveredTo = draft.start;
  for (const child of draft.children) {
    draft.subtreeEnd = Math.max(draft.subtreeEnd, child.subtreeEnd);
    draft.below += 1 + child.below;
    draft.failedBelow += child.failedBelow + (child.failed ? 1 : 0);
    const childEnd = Math.min(end, child.start + child.duration);
    const from = Math.max(coveredTo, child.start);
    if (childEnd > from) {
      covered += childEnd - from;
      coveredTo = childEnd;
    }
  }
  draft.self = Math.max(0, draft.duration - covered);
}

/** A piece of the critical path: the time in which the trace waited for this span's own work. */
export interface CriticalPiece {
  readonly from: number;
  readonly to: number;
}

/**
 * What the trace's whole duration is made of: going back from the last end, the child that ended last,
 * and so on. Time that belongs to no span, a record that waits in Kafka say, is on nobody's path.
 * @returns pieces by span
 */
export function criticalPath(trace: Trace): Map<Span, CriticalPiece[]> {
  const path = new Map<Span, CriticalPiece[]>();
  const [root] = trace.roots.toSorted((a, b) => b.subtreeEnd - a.subtreeEnd);
  if (!root) return path;
  const add = (span: Span, from: number, to: number) => {
    const end = Math.min(to, span.start + span.duration);
    if (end > from) path.getOrInsertComputed(span, () => []).push({ from, to: end });
  };
  const stack: { span: Span; until: number }[] = [{ span: root, until: root.subtreeEnd }];
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { span, until } = next;
    let cursor = Math.min(until, span.subtreeEnd);
    for (const child of span.children.toSorted((a, b) => b.subtreeEnd - a.subtreeEnd)) {
      // What was still under way when the path had left this time already held nobody up.
      if (child.subtreeEnd > cursor || child.start >= cursor) continue;
      add(span, Math.max(span.start, child.subtreeEnd), cursor);
      stack.push({ span: child, until: cursor });
      cursor = Math.max(span.start, child.start);
    }
    add(span, span.start, cursor);
  }
  return path;
}

/** @returns an attribute's value */
export function attributeOf(span: Span, key: string): unknown {
  return span.attributes.find(([name]) => name === key)?.[1];
}

/** A row of the waterfall. */
export type Row =
  | { readonly type: "span"; readonly span: Span; readonly depth: number; readonly hidden: number }
  | { readonly type: "log"; readonly log: WireLog; readonly span: Span; readonly depth: number }
  | {
      readonly type: "fold";
      readonly id: string;
      readonly spans: readonly Span[];
      readonly depth: number;
      readonly isOpen: boolean;
    };

/** What the waterfall is to show. */
export interface RowOptions {
  /** Spans whose children are hidden. */
  readonly collapsed: ReadonlySet<string>;
  /** Repeats that are shown one by one; by the row's id. */
  readonly unfolded: ReadonlySet<string>;
  readonly foldRepeats: boolean;
  /** Whether log records have rows, among what is below their spans. */
  readonly logs?: boolean;
  /** Spans to leave; those above them stay as well. Without it all. */
  readonly keep?: ReadonlySet<Span> | undefined;
}

/** From so many on, siblings that are the same are folded into one row. */
export const REPEATS_MIN = 3;

/** @returns the rows, from top to bottom */
export function rowsOf(trace: Trace, options: RowOptions): Row[] {
  const kept = options.keep && withAncestors(options.keep);
  const rows: Row[] = [];
  const stack: (Span | Row)[] = [];
  const push = (spans: readonly Span[], logsOf?: Span) => {
    const shown = kept ? spans.filter((span) => kept.has(span)) : spans;
    const folded = foldedSiblings(shown, options);
    const all = options.logs && logsOf ? withLogs(folded, logsOf) : folded;
    stack.push(...all.toReversed());
  };
  push(trace.roots);
  for (let next = stack.pop(); next; next = stack.pop()) {
    if ("type" in next) {
      rows.push(next);
      if (next.type === "fold" && next.isOpen) stack.push(...next.spans.toReversed());
      continue;
    }
    const isCollapsed = options.collapsed.has(next.id) && next.children.length > 0;
    rows.push({
      type: "span",
      span: next,
      depth: next.depth,
      hidden: isCollapsed ? next.below : 0,
    });
    if (!isCollapsed) push(next.children, next);
  }
  return rows;
}

/** A span's log records among its children, in the order of time. */
function withLogs(children: readonly (Span | Row)[], span: Span): (Span | Row)[] {
  const logs = span.logs.map((log): Row => ({ type: "log", log, span, depth: span.depth + 1 }));
  return [...children, ...logs].sort((a, b) => startOf(a) - startOf(b));
}

function startOf(one: Span | Row): number {
  if (!("type" in one)) return one.start;
  if (one.type === "log") return one.log.time;
  return one.type === "span" ? one.span.start : (one.spans[0]?.start ?? 0);
}

function withAncestors(spans: ReadonlySet<Span>): Set<Span> {
  const all = new Set<Span>();
  for (const span of spans) {
    for (let at: Span | undefined = span; at && !all.has(at); at = at.parent) all.add(at);
  }
  return all;
}

/** Repeats become one row, where the first of them stands. */
function foldedSiblings(spans: readonly Span[], options: RowOptions): (Span | Row)[] {
  if (!options.foldRepeats || spans.length < REPEATS_MIN) return [...spans];
  const repeats = Map.groupBy(spans, repeatKey);
  const result: (Span | Row)[] = [];
  for (const span of spans) {
    const same = repeats.get(repeatKey(span)) ?? [];
    if (same.length < REPEATS_MIN) {
      result.push(span);
    } else if (same[0] === span) {
      const id = `${span.parent?.id ?? ""}/${repeatKey(span)}`;
      const isOpen = options.unfolded.has(id);
      result.push({ type: "fold", id, spans: same, depth: span.depth, isOpen });
    }
  }
  return result;
}

/** Siblings of one key say the same: the same statement, the same call. A failed one stands out. */
function repeatKey(span: Span): string {
  const statement = attributeOf(span, "db.query.text") ?? "";
  const inner = span.children.length === 0 ? "" : span.id;
  return JSON.stringify([
    span.service,
    span.kind,
    span.name,
    statement,
    span.failed,
    span.open,
    inner,
  ]);
}

/**
 * Whether repeats look like N+1: the same statement again and again, one after the other, where one
 * statement for all would do.
 */
export function isNPlusOne(spans: readonly Span[]): boolean {
  const [first] = spans;
  if (!first || attributeOf(first, "db.system.name") === undefined) return false;
  if (!/^(SELECT|FIND|GET)\b/i.test(first.name)) return false;
  return spans.every((span, index) => {
    const before = spans[index - 1];
    return !before || span.start >= before.start + before.duration - CLOCK_STEP_NS;
  });
}

/** Starts that the SDK rounds to milliseconds may lie before the end of what was before. */
const CLOCK_STEP_NS = 1_000_000;

/** A clock that is not that of its caller: how far its spans would have to be moved. */
export interface Skew {
  /** The span that is outside of its parent. */
  readonly span: Span;
  /** To be added to all starts of its process below it. */
  readonly by: number;
}

/**
 * Servers' spans that lie outside of the call that they answer: one of the two clocks is wrong.
 * @see https://www.jaegertracing.io/docs/2.0/architecture/ (clock skew adjustment)
 */
export function skewsOf(trace: Trace): Skew[] {
  const skews: Skew[] = [];
  for (const span of trace.spans) {
    const { parent } = span;
    if (!parent || parent.resource === span.resource) continue;
    if (parent.kind !== 3 || span.kind !== 2 || span.duration > parent.duration) continue;
    const early = parent.start - span.start;
    const late = span.start + span.duration - (parent.start + parent.duration);
    if (Math.max(early, late) <= CLOCK_STEP_NS) continue;
    skews.push({ span, by: early + (parent.duration - span.duration) / 2 });
  }
  return skews;
}

/** @returns by how much each span would have to be moved if the clocks agreed */
export function shiftsAgainstSkew(trace: Trace): Map<string, number> {
  const shifts = new Map<string, number>();
  for (const { span, by } of skewsOf(trace)) {
    const stack: Span[] = [span];
    for (let next = stack.pop(); next; next = stack.pop()) {
      if (shifts.has(next.id)) continue;
      shifts.set(next.id, by);
      stack.push(...next.children);
    }
  }
  return shifts;
}

/** Whether a text stands anywhere in a span; `key=value` and `key` find attributes. */
export function spanContains(span: Span, text: string): boolean {
  const wanted = text.toLowerCase();
  const has = (value: string) => value.toLowerCase().includes(wanted);
  const inAttributes = (attributes: readonly Attribute[]) =>
    attributes.some(([key, value]) => has(`${key}=${textOf(value)}`));
  return (
    has(span.name) ||
    has(span.service) ||
    has(span.id) ||
    has(span.message) ||
    inAttributes(span.attributes) ||
    inAttributes(span.resource.attributes) ||
    span.events.some(({ name, attributes }) => has(name) || inAttributes(attributes)) ||
    span.logs.some(({ body, attributes }) => has(textOf(body)) || inAttributes(attributes))
  );
}

/** A value as text. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
