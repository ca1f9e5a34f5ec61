/** Two traces, matched by their structure: what came, what went, what got slower. */
import type { Span, Trace } from "./model.ts";

/** Spans of one place in both trees: of one service, kind and name, below the same. */
export interface Compared {
  readonly id: string;
  readonly service: string;
  readonly name: string;
  readonly kind: number;
  readonly depth: number;
  readonly before: readonly Span[];
  readonly after: readonly Span[];
  readonly change: Change;
}

/** What became of it. */
export type Change = "came" | "went" | "more" | "fewer" | "slower" | "faster" | "same";

/** A change of time is told from this share on, and from this length on: less is noise. */
const SHARE = 1.25;
const LENGTH_NS = 1_000_000;
const SERVER = 2;

/** @returns the places of both trees, depth first; in each, those of the first trace first */
export function compare(before: Trace, after: Trace): Compared[] {
  const result: Compared[] = [];
  const stack: Place[] = placesOf(before.roots, after.roots, "", 0).toReversed();
  for (let place = stack.pop(); place; place = stack.pop()) {
    result.push({ ...place, change: changeOf(place) });
    const below = placesOf(
      place.before.flatMap(({ children }) => children),
      place.after.flatMap(({ children }) => children),
      place.id,
      place.depth + 1,
    );
    stack.push(...below.toReversed());
  }
  return result;
}

type Place = Omit<Compared, "change">;

function keyOf({ service, kind, name }: Span): string {
  return JSON.stringify([service, kind, name]);
}

function placesOf(
  before: readonly Span[],
  after: readonly Span[],
  above: string,
  depth: number,
): Place[] {
  const places = new Map<string, { before: Span[]; after: Span[] }>();
  const place = (span: Span) =>
    places.getOrInsertComputed(keyOf(span), () => ({ before: [], after: [] }));
  for (const span of before) place(span).before.push(span);
  for (const span of after) place(span).after.push(span);
  pairRenamed(places, depth);
  return [...places].map(([key, both]) => {
    const { service, kind, name } = both.before[0] ??
      both.after[0] ?? { service: "", kind: 0, name: "" };
    const other = both.after[0]?.name ?? name;
    const names = other === name ? name : `${name} → ${other}`;
    return { id: `${above}/${key}`, service, kind, name: names, depth, ...both };
  });
}

/**
 * Where one place of a service and kind has gone, and one of the same has come, they are one that is called
 * otherwise now: another route in front of the same work, say.
 */
function pairRenamed(places: Map<string, { before: Span[]; after: Span[] }>, depth: number): void {
  const alone = [...places].filter(([, { before, after }]) => {
    const [span] = [...before, ...after];
    // A call that is called otherwise is another call.
    return before.length * after.length === 0 && (depth === 0 || span?.kind === SERVER);
  });
  const alike = Map.groupBy(alone, ([, { before, after }]) => {
    const [span] = [...before, ...after];
    return JSON.stringify([span?.service, span?.kind]);
  });
  for (const both of alike.values()) {
    const went = both.filter(([, { before }]) => before.length === 1);
    const came = both.filter(([, { after }]) => after.length === 1);
    const [[, old] = [], ...moreGone] = went;
    const [[key, fresh] = [], ...moreCome] = came;
    if (!old || !fresh || key === undefined || moreGone.length > 0 || moreCome.length > 0) continue;
    if (both.length !== 2) continue;
    old.after.push(...fresh.after);
    places.delete(key);
  }
}

/** How long they took, together. */
export function totalOf(spans: readonly Span[]): number {
  return spans.reduce((sum, { duration }) => sum + duration, 0);
}

function changeOf({ before, after }: Place): Change {
  if (before.length === 0) return "came";
  if (after.length === 0) return "went";
  if (after.length > before.length) return "more";
  if (after.length < before.length) return "fewer";
  const [was, is] = [totalOf(before), totalOf(after)];
  if (is > was * SHARE && is - was > LENGTH_NS) return "slower";
  if (was > is * SHARE && was - is > LENGTH_NS) return "faster";
  return "same";
}
