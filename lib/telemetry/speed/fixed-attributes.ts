/**
 * Attribute sets of metrics that are made once and used for many measurements.
 *
 * The metrics SDK finds the series of a measurement by sorting and printing its attributes, which costs
 * more than all else about it. For a set that was made here it does that once.
 */
import { createRequire } from "node:module";
import { diag, type Attributes } from "@opentelemetry/api";

/** Sets that are kept of one kind; what comes beyond is made anew each time. */
const SETS_MAX = 1_000;

const hashes = new WeakMap<Attributes, string>();

/** Fixes a set: it cannot be changed any more, and the SDK knows it again. */
export function fixed(attributes: Attributes): Attributes {
  if (hash) hashes.set(attributes, hash(attributes));
  return Object.freeze(attributes);
}

/**
 * Keeps the sets of one kind of measurement.
 * @param make puts a set together from the parts that make it what it is
 * @returns a function that gives the set of some parts; `key` tells them from all others
 */
export function fixedSets<Parts extends readonly unknown[]>(
  make: (...parts: Parts) => Attributes,
): (key: string, ...parts: Parts) => Attributes {
  const sets = new Map<string, Attributes>();
  return (key, ...parts) => {
    let attributes = sets.get(key);
    if (!attributes) {
      attributes = make(...parts);
      if (sets.size < SETS_MAX) sets.set(key, fixed(attributes));
    }
    return attributes;
  };
}

/**
 * Has the SDK look first whether a set's hash is known. It has no place for that, so it is put where the
 * SDK looks for its own function. With a version that looks elsewhere all is as it always was, at more
 * cost.
 * @returns the SDK's own function; undefined where it was not found
 */
function rememberHashes(): ((attributes: Attributes) => string) | undefined {
  try {
    const utils = createRequire(import.meta.url)("@opentelemetry/sdk-metrics/build/src/utils");
    const stock: (attributes: Attributes) => string = utils.hashAttributes;
    utils.hashAttributes = (attributes: Attributes) => hashes.get(attributes) ?? stock(attributes);
    return stock;
  } catch (error) {
    diag.warn("the metrics SDK keeps its hash elsewhere; each set is printed each time", error);
    return undefined;
  }
}

const hash = rememberHashes();
