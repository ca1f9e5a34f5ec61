/** Spans looked for, and told of, in a check. */
import type { SeenSpan } from "../system/index.ts";

/** Which span is meant; what is left out does not matter. */
export interface SpanPattern {
  readonly service?: string;
  readonly kind?: SeenSpan["kind"];
  readonly name?: string | RegExp;
}

/** @returns those that are meant, in their order */
export function findSpans(spans: readonly SeenSpan[], pattern: SpanPattern): SeenSpan[] {
  const { service, kind, name } = pattern;
  return spans.filter(
    (span) =>
      (service === undefined || span.service === service) &&
      (kind === undefined || span.kind === kind) &&
      (name === undefined || (name instanceof RegExp ? name.test(span.name) : span.name === name)),
  );
}

/** @returns the one that is meant; undefined where there is none, or more than one */
export function oneSpan(spans: readonly SeenSpan[], pattern: SpanPattern): SeenSpan | undefined {
  const found = findSpans(spans, pattern);
  return found.length === 1 ? found[0] : undefined;
}

/** @returns the spans right below one */
export function childrenOf(spans: readonly SeenSpan[], parent: SeenSpan): SeenSpan[] {
  return spans.filter((span) => isChild(span, parent));
}

/** @returns the span that one is right below; undefined where it is a root, or its parent has not come */
export function parentOf(spans: readonly SeenSpan[], child: SeenSpan): SeenSpan | undefined {
  return spans.find((span) => isChild(child, span));
}

/** @returns the spans above one, the nearest first */
export function ancestorsOf(spans: readonly SeenSpan[], span: SeenSpan): SeenSpan[] {
  const above: SeenSpan[] = [];
  let next = parentOf(spans, span);
  // A program can make a circle, as it can make any id.
  while (next && !above.includes(next)) {
    above.push(next);
    next = parentOf(spans, next);
  }
  return above;
}

/** Whether one is below another, however many spans are between the two. */
export function isBelow(
  spans: readonly SeenSpan[],
  span: SeenSpan | undefined,
  ancestor: SeenSpan | undefined,
): boolean {
  return (
    span !== undefined && ancestor !== undefined && ancestorsOf(spans, span).includes(ancestor)
  );
}

/** @returns the spans of a trace */
export function inTrace(spans: readonly SeenSpan[], traceId: string | undefined): SeenSpan[] {
  return spans.filter((span) => span.traceId === traceId);
}

/** @returns how many different traces the spans are of */
export function traceCount(spans: readonly SeenSpan[]): number {
  return new Set(spans.map(({ traceId }) => traceId)).size;
}

/** @returns one span in one line: `orders SERVER "POST /orders" ERROR http.route=/orders` */
export function describe(
  { service, kind, name, status, statusText, attributes }: SeenSpan,
  shown: readonly string[] = [],
): string {
  const text = statusText ? ` ${JSON.stringify(statusText)}` : "";
  const values = shown.map((key) =>
    key in attributes ? `${key}=${JSON.stringify(attributes[key])}` : `no ${key}`,
  );
  const parts = [service || "(no service.name)", kind, JSON.stringify(name)];
  return [...parts, ...(status === "UNSET" ? [] : [status + text]), ...values].join(" ");
}

const NS_PER_MS = 1_000_000n;

/** @returns how long a span took, in whole milliseconds */
export function msOf({ startNs, endNs }: SeenSpan): number {
  return Number((endNs - startNs) / NS_PER_MS);
}

const TREE_LINES_MAX = 40;

/**
 * Spans as a tree, one a line, below a line for each trace; "no span" where there is none.
 * @param shown names of attributes to show of each span
 */
export function spanTree(spans: readonly SeenSpan[], shown: readonly string[] = []): string {
  const sorted = spans.toSorted((a, b) => Number(a.startNs - b.startNs));
  const lines: string[] = [];
  const done = new Set<SeenSpan>();
  const draw = (span: SeenSpan, depth: number) => {
    if (done.has(span)) return;
    done.add(span);
    const isOrphan = depth === 1 && span.parentSpanId !== undefined;
    const above = isOrphan ? ` (its parent ${span.parentSpanId} is not here)` : "";
    lines.push(`${"  ".repeat(depth)}${describe(span, shown)}${above}`);
    for (const child of childrenOf(sorted, span)) draw(child, depth + 1);
  };
  for (const [traceId, ofTrace] of Map.groupBy(sorted, ({ traceId }) => traceId)) {
    lines.push(`trace ${traceId}`);
    for (const span of ofTrace) if (!parentOf(ofTrace, span)) draw(span, 1);
    for (const span of ofTrace) draw(span, 1);
  }
  const shownLines = lines.slice(0, TREE_LINES_MAX);
  const left = lines.length - shownLines.length;
  return [...shownLines, ...(left > 0 ? [`and ${left} more lines`] : [])].join("\n") || "no span";
}

function isChild(child: SeenSpan, parent: SeenSpan): boolean {
  return child.traceId === parent.traceId && child.parentSpanId === parent.spanId;
}
