/** Traces that a page shows as text, and whether a real one has the same spans below each other. */
import { ORDER_SERVICES } from "#lib/service/services.ts";
import { parentIdOf, type SpanInContext } from "#lib/embedded/traces/otlp.ts";

export interface DrawnTrace {
  /** What its head says. */
  readonly spanCount: number;
  /** Undefined where the head does not say it. */
  readonly serviceCount: number | undefined;
  readonly spans: readonly DrawnSpan[];
  /** Of the head, 1-based. */
  readonly line: number;
}

export interface DrawnSpan {
  readonly service: string;
  /** Ends in "…" where it was too long. */
  readonly name: string;
  readonly isFailed: boolean;
  readonly depth: number;
}

/** What of a real span is compared. */
export interface RealSpan {
  readonly service: string;
  readonly name: string;
  readonly isFailed: boolean;
  readonly id: string;
  /** Not among the spans: then it is a root. */
  readonly parentId: string | undefined;
}

const HEAD = /^trace [0-9a-f]{32} {2}(\d+) spans?, (\d+) services?, /;
/** Behind the service: branches, mark, name, links, bar, duration. The last two only where there is a scale. */
const ROW = /^((?:[│├└ ] )*)(✗ )?(.*?)(?: ↗\d+)?(?:(?: +[█▏]+)? +[\d.]+ (?:µs|ms|s))?$/u;

/** @param page with traces as `bun run demo` draws them */
export function drawnTraces(page: string): DrawnTrace[] {
  const lines = page.split("\n");
  return lines.flatMap((line, index) => {
    const [head, spanCount, serviceCount] = HEAD.exec(line) ?? [];
    if (head === undefined) return [];
    // Below the head stands the scale.
    const spans = spansOfRows(rowsFrom(lines, index + 2));
    return [
      { spanCount: Number(spanCount), serviceCount: Number(serviceCount), spans, line: index + 1 },
    ];
  });
}

/**
 * @param page with two traces side by side, below a line such as `manual: 20 spans   elysia: 35 spans`
 * @returns them by what stands before their counts
 */
export function drawnBeside(page: string): Map<string, DrawnTrace> {
  const lines = page.split("\n");
  const at = lines.findIndex((line) => /^\w+: \d+ spans? {2,}\w+: \d+ spans?$/.test(line));
  const heads = [...(lines[at] ?? "").matchAll(/(\w+): (\d+) spans?/g)];
  return new Map(
    heads.map(({ index, 1: name = "", 2: spanCount }, which) => {
      const rows = rowsFrom(lines, at + 1).map((row) => row.slice(index, heads[which + 1]?.index));
      const spans = spansOfRows(rows.map((row) => row.trimEnd()));
      return [name, { spanCount: Number(spanCount), serviceCount: undefined, spans, line: at + 1 }];
    }),
  );
}

function rowsFrom(lines: readonly string[], start: number): string[] {
  const rest = lines.slice(start);
  const end = rest.findIndex((line) => line === "" || line.startsWith("```"));
  return rest.slice(0, end < 0 ? undefined : end);
}

function spansOfRows(rows: readonly string[]): DrawnSpan[] {
  // The others are the message of the span above.
  const named = rows.flatMap((row) => (/^([a-z]+) +/.test(row) ? [row] : []));
  // The root's name has no branches before it: there the trees begin.
  const columns = Math.max(0, ...named.map((row) => row.search(/ /)));
  const start = columns + Math.min(...named.map((row) => row.slice(columns).search(/\S/)));
  return named.map((row) => {
    const [service = ""] = /^[a-z]+/.exec(row) ?? [];
    const [, branches = "", failed, name = ""] = ROW.exec(row.slice(start)) ?? [];
    return { service, name, isFailed: failed !== undefined, depth: branches.length / 2 };
  });
}

/** @param contexts the spans of one trace */
export function realSpans(contexts: readonly SpanInContext[]): RealSpan[] {
  return contexts.map(({ service, span }) => ({
    service,
    name: span.name ?? "",
    isFailed: span.status?.code === 2,
    id: span.spanId,
    parentId: parentIdOf(span),
  }));
}

/**
 * @param drawn as a page shows it; how often a span stands at one place is not compared
 * @param real the spans of one trace
 * @returns what is at one side only
 */
export function differences(drawn: DrawnTrace, real: readonly RealSpan[]): string[] {
  const byId = new Map(real.map((span) => [span.id, span]));
  const wayTo = (span: RealSpan): string[] => {
    const parent = byId.get(span.parentId ?? "");
    return [...(parent ? wayTo(parent) : []), stepOf(span)];
  };
  const shown = waysOf(drawn.spans);
  // Pages draw an order's own way, whoever else is called on it.
  const own: readonly string[] = ORDER_SERVICES;
  const seen = real.filter(({ service }) => own.includes(service)).map(wayTo);
  return [
    ...oneSided(
      "only shown",
      shown.filter((way) => !seen.some((other) => isSame(way, other))),
    ),
    ...oneSided(
      "not shown",
      seen.filter((way) => !shown.some((other) => isSame(other, way))),
    ),
  ];
}

function oneSided(what: string, ways: readonly string[][]): string[] {
  return ways.map((way) => `${what}: ${way.join(" > ")}`);
}

/** @returns for each span the steps to it from the root */
function waysOf(spans: readonly DrawnSpan[]): string[][] {
  const way: string[] = [];
  return spans.map((span) => {
    way.splice(span.depth, Infinity, stepOf(span));
    return [...way];
  });
}

function stepOf({ service, name, isFailed }: Omit<DrawnSpan, "depth">): string {
  return `${service} ${isFailed ? "✗ " : ""}${name}`;
}

/** @param drawn may have names that are cut */
function isSame(drawn: readonly string[], real: readonly string[]): boolean {
  return (
    drawn.length === real.length &&
    drawn.every((step, index) => {
      const other = real[index] ?? "";
      return step.endsWith("…") ? other.startsWith(step.slice(0, -1)) : step === other;
    })
  );
}
