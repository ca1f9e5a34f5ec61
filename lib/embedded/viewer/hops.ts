/** What crossed between two processes: the header that was sent, and whose parent it became. */
import { attributeOf, textOf, type Span, type Trace } from "./model.ts";

/** `traceparent`, part by part. */
export interface TraceParent {
  readonly version: string;
  readonly traceId: string;
  readonly parentId: string;
  readonly flags: string;
}

/** A hop: from the span that sent a header to one that was made of it. */
export interface Hop {
  readonly sender: Span;
  /** Undefined where nobody has said that it received it. */
  readonly receiver: Span | undefined;
  readonly carrier: "http" | "kafka";
  /** As it was sent, or as it must have been. */
  readonly traceparent: string;
  /** As it was sent, without secrets; "" where the sender's span says nothing of it. */
  readonly baggage: string;
  /** Whether the sender's own span says so; else it is put together from the ids. */
  readonly isRecorded: boolean;
  /** For a record: the statement that wrote it into an outbox, and the span that handed it to the broker. */
  readonly stored: Span | undefined;
  readonly sent: Span | undefined;
}

/** The layer writes it on the span that sent it, while it also writes where that was made. */
const INJECTED = "orderflow.propagation.traceparent";
const INJECTED_BAGGAGE = "orderflow.propagation.baggage";
const SERVER = 2;
const PRODUCER = 4;
const CONSUMER = 5;

/** @returns the hops that begin or end at a span */
export function hopsOf(span: Span, trace: Trace): Hop[] {
  if (span.kind === 3 || span.kind === PRODUCER) {
    const receivers = span.children.filter(isReceiver);
    const sends = attributeOf(span, INJECTED) !== undefined || receivers.length > 0;
    if (!sends) return [];
    if (receivers.length === 0) return [hop(span, undefined, trace)];
    return receivers.map((receiver) => hop(span, receiver, trace));
  }
  return isReceiver(span) && span.parent ? [hop(span.parent, span, trace)] : [];
}

function isReceiver(span: Span): boolean {
  const isOther = span.parent?.resource !== span.resource;
  return (span.kind === SERVER || span.kind === CONSUMER) && isOther;
}

function hop(sender: Span, receiver: Span | undefined, trace: Trace): Hop {
  const recorded = attributeOf(sender, INJECTED);
  const flags = (sender.flags & 0xff).toString(16).padStart(2, "0");
  const carrier = sender.kind === PRODUCER ? "kafka" : "http";
  return {
    sender,
    receiver,
    carrier,
    traceparent:
      recorded === undefined ? `00-${trace.traceId}-${sender.id}-${flags}` : textOf(recorded),
    baggage: textOf(attributeOf(sender, INJECTED_BAGGAGE) ?? ""),
    isRecorded: recorded !== undefined,
    stored: carrier === "kafka" ? sender.children.find(isInsert) : undefined,
    sent:
      carrier === "kafka"
        ? sender.children.find(({ name }) => name.startsWith("send "))
        : undefined,
  };
}

function isInsert(span: Span): boolean {
  return attributeOf(span, "db.system.name") !== undefined && /^INSERT\b/i.test(span.name);
}

/**
 * @returns its parts; undefined where it is none that a receiver may use
 * @see https://www.w3.org/TR/trace-context/#traceparent-header
 */
export function readTraceparent(text: string): TraceParent | undefined {
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/.exec(text);
  if (!match) return undefined;
  const [, version = "", traceId = "", parentId = "", flags = ""] = match;
  if (version === "ff" || /^0+$/.test(traceId) || /^0+$/.test(parentId)) return undefined;
  if (version === "00" && text.length > 55) return undefined;
  return { version, traceId, parentId, flags };
}

/** @returns in a sentence, what does not fit between what was sent and whose parent it became */
export function mismatchOf({ receiver, traceparent }: Hop, trace: Trace): string | undefined {
  if (!receiver) return undefined;
  const sent = readTraceparent(traceparent);
  if (!sent) return "What was sent is no traceparent that a receiver may use.";
  if (receiver.parentId !== sent.parentId) {
    return `The receiver's parent is ${receiver.parentId ?? "nobody"}, and not ${sent.parentId}, which was sent.`;
  }
  return sent.traceId === trace.traceId ? undefined : "It was sent in the name of another trace.";
}

/** `tracestate`, entry by entry. */
export function readTraceState(text: string): readonly (readonly [key: string, value: string])[] {
  return text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "")
    .map((entry) => {
      const at = entry.indexOf("=");
      return at === -1 ? [entry, ""] : [entry.slice(0, at), entry.slice(at + 1)];
    });
}

/** A member of a `baggage`. */
export interface BaggageMember {
  readonly key: string;
  /** Decoded. */
  readonly value: string;
  /** What is said of it, as `;ttl=1`; "" where nothing is. */
  readonly properties: string;
}

/**
 * `baggage`, member by member; a value that is not percent-encoded as it should be is left as it is.
 * @see https://www.w3.org/TR/baggage/#definition
 */
export function readBaggage(text: string): readonly BaggageMember[] {
  return readTraceState(text).map(([key, rest]) => {
    const [value = "", ...properties] = rest.split(";");
    return { key: key.trim(), value: decoded(value.trim()), properties: properties.join(";") };
  });
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
