/** What a span can be found by: its service, its name, its attributes, and any text in it. */
import {
  attribute,
  type KeyValue,
  type OtlpSpan,
  plainValue,
  type Resource,
  type SpanInContext,
} from "./otlp.ts";

/** Of a longer value its first part is searched; what is longer is no word that anybody types. */
const VALUE_CHARS_MAX = 1_000;

/** An attribute as it is shown and searched: `key=value`, values that are no text as JSON. */
export function attributeText({ key, value }: KeyValue): string {
  const plain = plainValue(value);
  const text = typeof plain === "string" ? plain : JSON.stringify(plain);
  return `${key}=${text.slice(0, VALUE_CHARS_MAX)}`;
}

/** @returns the attributes that belong to a span: its own, its resource's, and its events' */
export function* attributesOf({ span, resource }: SpanInContext): Generator<KeyValue> {
  yield* span.attributes ?? [];
  yield* resource.attributes ?? [];
  for (const event of span.events ?? []) yield* event.attributes ?? [];
}

/** @returns all texts in which a search looks: attributes, names of events, what a failed span says, ids */
export function* textsOf({ span, resource }: SpanInContext): Generator<string> {
  yield* textsOfSpan(span);
  yield* textsOfResource(resource);
}

/** @returns those of the span itself */
export function* textsOfSpan(span: OtlpSpan): Generator<string> {
  yield (span.name ?? "").slice(0, VALUE_CHARS_MAX);
  yield span.traceId;
  yield span.spanId;
  if (span.status?.message) yield span.status.message.slice(0, VALUE_CHARS_MAX);
  for (const one of span.attributes ?? []) yield attributeText(one);
  for (const { name, attributes = [] } of span.events ?? []) {
    if (name) yield name.slice(0, VALUE_CHARS_MAX);
    for (const one of attributes) yield attributeText(one);
  }
}

/** @returns those that all spans of a process share */
export function* textsOfResource({ attributes = [] }: Resource): Generator<string> {
  for (const one of attributes) yield attributeText(one);
}

/** Whether it is a failed span, as its status says. */
export function hasFailed(span: OtlpSpan): boolean {
  return span.status?.code === 2;
}

/** Whether one of the span's attributes has that key, and that value where one is asked for. */
export function hasAttribute(context: SpanInContext, key: string, value?: string): boolean {
  for (const one of attributesOf(context)) {
    if (one.key !== key) continue;
    if (value === undefined || attributeText(one) === `${key}=${value}`) return true;
  }
  return false;
}

/** @returns a span's attribute as text; undefined where it has none */
export function textAttribute(
  attributes: readonly KeyValue[] | undefined,
  key: string,
): string | undefined {
  const value = attribute(attributes, key);
  return value === undefined || value === null ? undefined : String(value);
}
