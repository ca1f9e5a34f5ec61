/** A trace as text: one line a span, indented as a tree, with bars on a common time axis. */
import { ORDER_SERVICES } from "#lib/service/services.ts";
import {
  attribute,
  linksOf,
  microsOf,
  type OtlpTrace,
  parentIdOf,
  type SpanInContext,
  spansOf,
} from "#lib/embedded/traces/otlp.ts";

/** How to draw. */
export interface WaterfallOptions {
  /** Width of the terminal; no line is wider. At least 60. */
  readonly widthColumns: number;
  /** Whether to use ANSI colours. */
  readonly color: boolean;
  /** Whether siblings that say the same share a line: `SELECT items × 9`. @default false */
  readonly fold?: boolean;
  /** Spans that the trace's whole duration is made of, by id: their bars stand out. */
  readonly critical?: ReadonlySet<string>;
}

/**
 * Draws a trace. Children stand in the order of their starts, whatever order they arrived in; a span
 * whose parent is missing stands as a root, marked `?`; a failed one is marked `✗`, its message below.
 * @returns lines, the last one ended too; "" for a trace without spans
 */
export function renderWaterfall(trace: OtlpTrace, options: WaterfallOptions): string {
  const rows = treeRows(spansOf(trace), options.fold ?? false);
  if (rows.length === 0) return "";
  const layout = {
    ...planLayout(rows, Math.max(WIDTH_MIN_COLUMNS, options.widthColumns)),
    critical: options.critical,
  };
  const paint = options.color ? painter(rows) : plain;
  const lines = [
    summaryLine(rows, layout),
    axisLine(layout, paint),
    ...rows.flatMap((row) => spanLines(row, layout, paint)),
    ...legendLines(rows, layout, paint),
  ];
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}

/**
 * Checks that a trace tells the whole way of one order, from the gateway to the e-mail.
 * @returns what is missing, each in a few words; empty where the trace is whole
 */
export function isWholeTrace(trace: OtlpTrace): string[] {
  const spans = spansOf(trace);
  const byId = new Map(spans.map((context) => [context.span.spanId, context]));
  const missing: string[] = [];
  for (const service of ORDER_SERVICES) {
    if (!spans.some((context) => context.service === service)) {
      missing.push(`a span of ${service}`);
    }
  }
  const roots = spans.filter(({ span }) => parentIdOf(span) === undefined);
  if (roots.length !== 1) missing.push(`a single root (there are ${roots.length})`);
  for (const { span, service } of spans) {
    const parentId = parentIdOf(span);
    if (parentId !== undefined && !byId.has(parentId)) {
      missing.push(`the parent of ${span.name} (${service})`);
    }
  }
  for (const name of ["create order.created", "send order.created", "process order.created"]) {
    if (!spans.some(({ span }) => span.name === name)) missing.push(`the span ${name}`);
  }
  const sent = spans.some(
    (context) =>
      context.service === "email" &&
      context.span.name === "POST /send" &&
      ancestorsOf(context, byId).some(({ span }) => span.name === "process order.created"),
  );
  if (!sent) missing.push("email's POST /send under process order.created");
  return missing;
}

function ancestorsOf(
  context: SpanInContext,
  byId: ReadonlyMap<string, SpanInContext>,
): SpanInContext[] {
  const ancestors = new Set<SpanInContext>();
  let parent = byId.get(parentIdOf(context.span) ?? "");
  while (parent && !ancestors.has(parent)) {
    ancestors.add(parent);
    parent = byId.get(parentIdOf(parent.span) ?? "");
  }
  return [...ancestors];
}

/** A span with its place in the tree. */
interface Row {
  readonly context: SpanInContext;
  /** What stands before the span's name: the tree's branches. */
  readonly branches: string;
  /** What stands before its second line. */
  readonly branchesBelow: string;
  readonly isOrphan: boolean;
  readonly startUs: number;
  readonly durationUs: number;
  /** How many spans it stands for, and how long they took together. */
  readonly repeats: number;
  readonly totalUs: number;
}

/** @returns the spans depth first */
function treeRows(spans: readonly SpanInContext[], fold: boolean): Row[] {
  const sorted = [...spans].sort(byStart);
  const ids = new Set(sorted.map(({ span }) => span.spanId));
  const childrenOf = Map.groupBy(sorted, ({ span }) => {
    const parentId = parentIdOf(span) ?? "";
    return ids.has(parentId) ? parentId : "";
  });
  const rows: Row[] = [];
  const seen = new Set<SpanInContext>();
  const visit = (context: SpanInContext, branches: string, below: string, isOrphan: boolean) => {
    seen.add(context);
    const children = (childrenOf.get(context.span.spanId) ?? []).filter(
      (child) => !seen.has(child),
    );
    const startUs = microsOf(context.span.startTimeUnixNano);
    const durationUs = Math.max(0, microsOf(context.span.endTimeUnixNano) - startUs);
    const branchesBelow = children.length > 0 ? `${below}│ ` : `${below}  `;
    const own = { context, branches, branchesBelow, isOrphan, startUs, durationUs };
    rows.push({ ...own, repeats: 1, totalUs: durationUs });
    const isLeaf = ({ span }: SpanInContext) => !childrenOf.has(span.spanId);
    const groups = fold ? foldRepeats(children, isLeaf) : children.map((child) => [child]);
    groups.forEach((group, index) => {
      const [child] = group;
      // A span id that stands twice has its children drawn under the first.
      if (!child || seen.has(child)) return;
      const isLast = index === groups.length - 1;
      if (group.length > 1) {
        for (const one of group) seen.add(one);
        rows.push(repeatsRow(group, `${below}${isLast ? "└ " : "├ "}`));
        return;
      }
      visit(child, `${below}${isLast ? "└ " : "├ "}`, `${below}${isLast ? "  " : "│ "}`, false);
    });
  };
  for (const root of childrenOf.get("") ?? []) {
    visit(root, "", "", parentIdOf(root.span) !== undefined);
  }
  // What no root leads to hangs in a loop of parents: it is drawn all the same.
  for (const context of sorted) if (!seen.has(context)) visit(context, "", "", true);
  return rows;
}

/** From so many on, siblings that say the same share a line. */
const REPEATS_MIN = 3;

/** @returns the siblings, those without children that say the same in one group, where the first of them stands */
function foldRepeats(
  siblings: readonly SpanInContext[],
  isLeaf: (context: SpanInContext) => boolean,
): SpanInContext[][] {
  const keyOf = (context: SpanInContext) => {
    const { span, service } = context;
    if (!isLeaf(context)) return span.spanId;
    const statement = attribute(span.attributes, "db.query.text");
    return JSON.stringify([service, span.kind, span.name, statement, span.status?.code]);
  };
  const groups = Map.groupBy(siblings, keyOf);
  return siblings.flatMap((sibling) => {
    const group = groups.get(keyOf(sibling)) ?? [];
    if (group.length < REPEATS_MIN) return [[sibling]];
    return group[0] === sibling ? [group] : [];
  });
}

function repeatsRow(group: readonly SpanInContext[], branches: string): Row {
  const starts = group.map(({ span }) => microsOf(span.startTimeUnixNano));
  const ends = group.map(({ span }) => microsOf(span.endTimeUnixNano));
  const startUs = Math.min(...starts);
  return {
    context: group[0] as SpanInContext,
    branches,
    branchesBelow: branches,
    isOrphan: false,
    startUs,
    durationUs: Math.max(...ends) - startUs,
    repeats: group.length,
    totalUs: ends.reduce((sum, end, index) => sum + Math.max(0, end - (starts[index] ?? end)), 0),
  };
}

/**
 * The SDK's starts are whole milliseconds. Those that start in the same one stay as they arrived: a process
 * sends its spans in the order in which they end, and an end is no better known than its start.
 */
function byStart(a: SpanInContext, b: SpanInContext): number {
  const difference =
    BigInt(a.span.startTimeUnixNano ?? "0") - BigInt(b.span.startTimeUnixNano ?? "0");
  return difference === 0n ? 0 : difference < 0n ? -1 : 1;
}

const WIDTH_MIN_COLUMNS = 60;
const SERVICE_MAX_COLUMNS = 14;
const DURATION_COLUMNS = 9;

/** The columns' widths, and the time axis. */
interface Layout {
  readonly widthColumns: number;
  readonly serviceColumns: number;
  readonly nameColumns: number;
  readonly barColumns: number;
  readonly startUs: number;
  readonly durationUs: number;
  readonly critical?: ReadonlySet<string> | undefined;
}

function planLayout(rows: readonly Row[], widthColumns: number): Layout {
  const startUs = Math.min(...rows.map((row) => row.startUs));
  const endUs = Math.max(...rows.map((row) => row.startUs + row.durationUs));
  const serviceColumns = Math.min(
    SERVICE_MAX_COLUMNS,
    Math.max(...rows.map((row) => Bun.stringWidth(safe(row.context.service)))),
  );
  // service, space, name, space, bar, space, duration
  const free = widthColumns - serviceColumns - DURATION_COLUMNS - 3;
  const longestName = Math.max(...rows.map((row) => Bun.stringWidth(row.branches + nameOf(row))));
  const nameColumns = Math.min(longestName, Math.floor(free * 0.55));
  const barColumns = free - nameColumns;
  return {
    widthColumns,
    serviceColumns,
    nameColumns,
    barColumns,
    startUs,
    durationUs: endUs - startUs,
  };
}

function nameOf({ context: { span }, isOrphan, repeats }: Row): string {
  const marks = (isOrphan ? "? " : "") + (span.status?.code === 2 ? "✗ " : "");
  const links = otherLinks(span);
  const times = repeats > 1 ? ` × ${repeats}` : "";
  return `${marks}${safe(span.name ?? "")}${times}${links > 0 ? ` ↗${links}` : ""}`;
}

/** A link to the parent says nothing that the tree does not show. */
function otherLinks(span: SpanInContext["span"]): number {
  const others = linksOf(span).filter(
    (link) => link.traceId !== span.traceId || link.spanId !== span.parentSpanId,
  );
  return others.length;
}

function summaryLine(rows: readonly Row[], { durationUs, widthColumns }: Layout): string {
  const services = new Set(rows.map(({ context }) => context.service)).size;
  const traceId = rows[0]?.context.span.traceId ?? "";
  const spans = rows.reduce((sum, { repeats }) => sum + repeats, 0);
  const counts = `${count(spans, "span")}, ${count(services, "service")}`;
  return fit(`trace ${traceId}  ${counts}, ${formatDuration(durationUs)}`, widthColumns);
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function axisLine(layout: Layout, paint: Paint): string {
  const before = " ".repeat(layout.serviceColumns + layout.nameColumns + 2);
  const end = formatDuration(layout.durationUs);
  const dashes = "╌".repeat(Math.max(0, layout.barColumns - end.length - 3));
  return before + paint("faint", `0 ${dashes} ${end}`);
}

function spanLines(row: Row, layout: Layout, paint: Paint): string[] {
  const { service, span } = row.context;
  const failed = span.status?.code === 2;
  const serviceCell = pad(fit(safe(service), layout.serviceColumns), layout.serviceColumns);
  const branches = shortBranches(row.branches, layout);
  const name = fit(nameOf(row), layout.nameColumns - branches.length);
  const nameCell = pad(name, layout.nameColumns - branches.length);
  const { before, bar } = barOf(row, layout);
  const after = " ".repeat(layout.barColumns - before - bar.length);
  const duration = formatDuration(row.totalUs).padStart(DURATION_COLUMNS);
  const lines = [
    `${paint(service, serviceCell)} ${paint("faint", branches)}` +
      `${failed ? paint("error", nameCell) : nameCell} ` +
      `${" ".repeat(before)}${paint(failed ? "error" : service, bar)}${after} ` +
      paint("faint", duration),
  ];
  const message = safe(span.status?.message ?? String(errorType(row.context)));
  if (failed && message) {
    const below = shortBranches(row.branchesBelow, layout);
    const indent = layout.serviceColumns + 1 + below.length;
    const text = fit(message, layout.widthColumns - indent);
    lines.push(
      `${" ".repeat(layout.serviceColumns + 1)}${paint("faint", below)}${paint("error", text)}`,
    );
  }
  return lines;
}

function errorType({ span }: SpanInContext): unknown {
  return attribute(span.attributes, "error.type") ?? "";
}

/** In a very deep tree the outer branches give way, so that half of the column is left for the name. */
function shortBranches(branches: string, { nameColumns }: Layout): string {
  const columnsMax = Math.floor(nameColumns / 2);
  return branches.length <= columnsMax ? branches : `…${branches.slice(1 - columnsMax)}`;
}

/** A bar is never longer than the axis, nor quite invisible. */
function barOf(row: Row, layout: Layout): { before: number; bar: string } {
  const columnsPerUs = layout.durationUs === 0 ? 0 : layout.barColumns / layout.durationUs;
  const columns = row.durationUs * columnsPerUs;
  // With a critical path, what is not on it is lighter.
  const isLight = layout.critical && !layout.critical.has(row.context.span.spanId);
  const block = isLight ? "▒" : "█";
  const bar = columns < 0.5 ? "▏" : block.repeat(Math.max(1, Math.round(columns)));
  const start = Math.floor((row.startUs - layout.startUs) * columnsPerUs);
  return { before: Math.min(start, layout.barColumns - bar.length), bar };
}

function legendLines(rows: readonly Row[], layout: Layout, paint: Paint): string[] {
  const notes: string[] = [];
  if (rows.some((row) => row.isOrphan)) notes.push("? its parent is not in this trace");
  if (rows.some((row) => otherLinks(row.context.span) > 0)) notes.push("↗ links to other spans");
  if (layout.critical) notes.push("█ on the critical path, ▒ not");
  return notes.map((note) => paint("faint", fit(note, layout.widthColumns)));
}

function formatDuration(durationUs: number): string {
  if (durationUs < 1_000) return `${durationUs} µs`;
  if (durationUs < 1_000_000) return `${(durationUs / 1_000).toFixed(1)} ms`;
  return `${(durationUs / 1_000_000).toFixed(2)} s`;
}

/**
 * Names and messages come from outside: a control sequence in one must not reach the terminal, nor a
 * bidirectional mark turn the line around.
 */
function safe(text: string): string {
  return text.toWellFormed().replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "�");
}

/** Cuts a text to a width in columns, which wide characters take two of. */
function fit(text: string, columns: number): string {
  if (Bun.stringWidth(text) <= columns) return text;
  let kept = "";
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (Bun.stringWidth(kept + segment) > columns - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

function pad(text: string, columns: number): string {
  return text + " ".repeat(columns - Bun.stringWidth(text));
}

/** Colours a text for a service, or as an error or as something faint. */
type Paint = (role: string, text: string) => string;

const plain: Paint = (_, text) => text;

/** 256-colour codes that are readable on light and dark, in the order of the services' appearance. */
const SERVICE_COLORS = [33, 36, 133, 172, 38, 106, 168, 67];

function painter(rows: readonly Row[]): Paint {
  const services = [...new Set(rows.map(({ context }) => context.service))];
  return (role, text) => {
    if (text.trim() === "") return text;
    if (role === "faint") return `\u001b[2m${text}\u001b[22m`;
    if (role === "error") return `\u001b[31m${text}\u001b[39m`;
    const color = SERVICE_COLORS[services.indexOf(role) % SERVICE_COLORS.length];
    return `\u001b[38;5;${color}m${text}\u001b[39m`;
  };
}
