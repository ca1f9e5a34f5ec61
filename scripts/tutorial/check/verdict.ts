/** How an item says what it found. */
import type { Verdict } from "./stage-check.ts";

/** Something that must hold, and how that reads after "expected". */
export type Claim = readonly [holds: boolean | undefined, expected: string];

/**
 * Judges by claims: all must hold, and the first that does not is what the reader is told to expect.
 * So they go from the coarse to the fine: that the span is there, then its kind, then its parent.
 *
 * @param found what the check did, and what came of it
 * @example
 * return verdict({ did: "POST /orders at the gateway", saw: spanTree(spans) }, [
 *   [server !== undefined, "one SERVER span of the orders service"],
 *   [server?.name === "POST /orders", "its name is the method and the route: POST /orders"],
 * ]);
 */
export function verdict(
  found: Pick<Verdict, "did" | "saw" | "note">,
  claims: readonly Claim[],
): Verdict {
  const missing = claims.find(([holds]) => holds !== true);
  const expected = missing?.[1] ?? claims.map(([, text]) => text).join("; ");
  return { ...found, passed: missing === undefined, expected };
}
