/**
 * The names that the semantic conventions publish: every attribute and metric that the package
 * `@opentelemetry/semantic-conventions` exports, and whether it is stable, experimental or deprecated.
 *
 * Names come from the package's code, the marks from its type declarations, where they stand as
 * `@deprecated` above the constant.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** How far a published name has come. */
export type Standing = "stable" | "experimental" | "deprecated";

/** Name of an attribute or metric → its standing. */
export type PublishedNames = ReadonlyMap<string, Standing>;

const PACKAGE = "@opentelemetry/semantic-conventions";

/** All published attribute names. */
export const publishedAttributes: PublishedNames = read("attributes", "ATTR");

/** All published metric names. */
export const publishedMetrics: PublishedNames = read("metrics", "METRIC");

function read(what: "attributes" | "metrics", prefix: "ATTR" | "METRIC"): PublishedNames {
  const dist = dirname(fileURLToPath(import.meta.resolve(PACKAGE)));
  const names = new Map<string, Standing>();
  const declaration = new RegExp(
    String.raw`/\*\*((?:(?!\*/)[\s\S])*)\*/\s*declare const ${prefix}_\w+: "([^"]+)"`,
    "g",
  );
  // Experimental first: what is in both has become stable.
  for (const standing of ["experimental", "stable"] as const) {
    const text = readFileSync(join(dist, `${standing}_${what}.d.mts`), "utf8");
    for (const [, comment, name] of text.matchAll(declaration)) {
      names.set(name ?? "", comment?.includes("@deprecated") ? "deprecated" : standing);
    }
  }
  return names;
}
