/**
 * Trace context across process borders: W3C `traceparent`, `tracestate` and `baggage`, read from and
 * written to HTTP headers and Kafka record headers.
 *
 * @see https://www.w3.org/TR/trace-context/
 * @see https://www.w3.org/TR/baggage/
 */
import {
  context,
  propagation,
  type Context,
  type TextMapGetter,
  type TextMapPropagator,
  type TextMapSetter,
} from "@opentelemetry/api";
import {
  CompositePropagator,
  W3CBaggagePropagator,
  W3CTraceContextPropagator,
} from "@opentelemetry/core";

/** Trace context § 3.3.1.1: a list of more members is not valid, and is not passed on. */
const TRACESTATE_MEMBERS_MAX = 32;

const DEFAULT_PROPAGATORS = "tracecontext,baggage";

/** What a header's value may be made of; what came with a record may hold anything else. */
const HEADER_VALUE = /^[\t\x20-\x7e]+$/;

/** Record headers as kafkajs hands them over; a repeated key holds a list. */
export type KafkaHeaders = Record<string, Buffer | string | (Buffer | string)[] | undefined>;

/** The headers that one hop adds. */
export type TraceHeaders = Record<string, string>;

/**
 * Builds the propagator that OTEL_PROPAGATORS asks for.
 * @param names comma-separated; `tracecontext`, `baggage` and `none` are known, others are reported;
 *   empty counts as not set
 * @returns the propagator, and the names that were not known
 */
export function createPropagator(names?: string): {
  propagator: TextMapPropagator;
  unknown: string[];
} {
  const propagators: TextMapPropagator[] = [];
  const unknown: string[] = [];
  const wanted = (names?.trim() || DEFAULT_PROPAGATORS).split(",").map((part) => part.trim());
  for (const name of new Set(wanted)) {
    if (name === "tracecontext") propagators.push(new W3CTraceContextPropagator());
    else if (name === "baggage") propagators.push(new W3CBaggagePropagator());
    else if (name !== "none" && name !== "") unknown.push(name);
  }
  return { propagator: new CompositePropagator({ propagators }), unknown };
}

/**
 * The context that an HTTP request brought along.
 * Whatever is malformed in the headers is left out, as the specifications say; it never fails.
 */
export function extractFromHttp(parent: Context, headers: Headers): Context {
  return propagation.extract(parent, headers, httpGetter);
}

/** The context that a Kafka record brought along: the creation context of the message. */
export function extractFromKafka(parent: Context, headers: KafkaHeaders): Context {
  return propagation.extract(parent, headers, kafkaGetter);
}

/** The headers that carry the active span to the next process. */
export function injectedHeaders(from: Context = context.active()): TraceHeaders {
  const headers: TraceHeaders = {};
  propagation.inject(from, headers, headerSetter);
  return headers;
}

/** A baggage that no header can carry is left out: with it the call itself would fail. */
const headerSetter: TextMapSetter<TraceHeaders> = {
  set(headers, key, value) {
    if (HEADER_VALUE.test(value)) headers[key] = value;
  },
};

function boundedTracestate(key: string, value: string | undefined): string | undefined {
  if (key !== "tracestate" || value === undefined) return value;
  const members = value.split(",").filter((member) => member.trim() !== "").length;
  return members > TRACESTATE_MEMBERS_MAX ? undefined : value;
}

const httpGetter: TextMapGetter<Headers> = {
  keys: (headers) => [...headers.keys()],
  // `Headers` joins a header that was sent twice with a comma: two traceparents are then malformed
  // and ignored, two tracestates or baggages are one list, each as its specification says.
  get: (headers, key) => boundedTracestate(key, headers.get(key) ?? undefined),
};

const kafkaGetter: TextMapGetter<KafkaHeaders> = {
  keys: (headers) => Object.keys(headers),
  get: (headers, key) => {
    const value = headers[key];
    const text = Array.isArray(value) ? value.join(",") : value?.toString();
    return boundedTracestate(key, text);
  },
};
