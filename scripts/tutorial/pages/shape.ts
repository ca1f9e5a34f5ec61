/** The shape of what a run printed: the same for each run of the same programs, whatever the ids and times. */

import { withTreeShapes } from "./tree-shape.ts";

/** In the order in which they are masked. */
const MASKS: readonly (readonly [RegExp, string])[] = [
  [/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?/g, "TIME"],
  [/\b\d\d:\d\d:\d\d(?:\.\d+)?\b/g, "TIME"],
  [/\b(?:localhost|127\.0\.0\.1):\d{1,5}\b/g, "HOST:PORT"],
  [/(?<![\w.])\d[\d.,]* ?(?:ns|µs|ms|s|min|%)(?!\w)/g, "N UNIT"],
  // Columns are as wide as what stands in them.
  [/(?<=\S) {2,}/g, "  "],
  [/ +$/gm, ""],
];

/** UUIDs, trace ids, span ids. */
const ID =
  /\b(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{16})\b/g;

/**
 * @returns the text with ids, times, durations and ports masked, and drawn traces as trees of names. An id
 * becomes its number in the order of their appearance: whether two are the same is part of the shape.
 */
export function shapeOf(text: string): string {
  const ids: string[] = [];
  const numbered = withTreeShapes(text).replaceAll(ID, (id) => {
    if (!ids.includes(id)) ids.push(id);
    return `ID_${ids.indexOf(id) + 1}`;
  });
  return MASKS.reduce((shape, [pattern, mask]) => shape.replaceAll(pattern, mask), numbered).trim();
}
