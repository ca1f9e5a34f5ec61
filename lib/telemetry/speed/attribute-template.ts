/**
 * Attributes that many spans begin with, encoded once: those of a route, of a statement, of a step. A set
 * that is frozen, as those of `fixed` are, is known again.
 */
import type { Attributes, AttributeValue } from "@opentelemetry/api";
import { writeAttributes } from "./attribute-encoder.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";

export interface AttributeTemplate {
  /** Keys and values in turns. */
  readonly list: readonly (AttributeValue | string)[];
  /** As field 9 of a span. */
  readonly bytes: Uint8Array;
  /** Of its longest text: a span whose limit is lower has to cut. */
  readonly textCharactersMax: number;
}

/** False: it was met once. Null: it is none that can be used. */
const templates = new WeakMap<Attributes, AttributeTemplate | false | null>();

const writer = new ProtobufWriter(4_096);

/**
 * The template of a set of attributes, from the second time on that the set is met: one that is made
 * for each span anew is not worth it.
 */
export function templateOf(attributes: Attributes): AttributeTemplate | undefined {
  if (!Object.isFrozen(attributes)) return undefined;
  const known = templates.get(attributes);
  if (known) return known;
  if (known === undefined) templates.set(attributes, false);
  if (known === false) {
    const made = makeTemplate(attributes);
    templates.set(attributes, made);
    return made ?? undefined;
  }
  return undefined;
}

/** @returns null where a value is missing, invalid or a list, which somebody may still change */
function makeTemplate(attributes: Attributes): AttributeTemplate | null {
  const entries = Object.entries(attributes);
  const list: (AttributeValue | string)[] = [];
  let textCharactersMax = 0;
  for (const [key, value] of entries) {
    const isPlain = ["string", "number", "boolean"].includes(typeof value);
    if (!isPlain || value === undefined || key === "") return null;
    if (typeof value === "string") textCharactersMax = Math.max(textCharactersMax, value.length);
    list.push(key, value);
  }
  if (list.length === 0) return null;
  writer.at = 0;
  writeAttributes(writer, 9, attributes);
  const bytes = new Uint8Array(writer.buffer.subarray(0, writer.at));
  return { list, bytes, textCharactersMax };
}
