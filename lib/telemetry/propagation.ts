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
import { CompositePropagator, W3CBaggagePropagator } from "@opentelemetry/core";
import { parseWords, type WordList } from "./setup/environment.ts";
import { HEADER_VALUE, TraceContextPropagator, TRACEPARENT, TRACESTATE } from "./trace-context.ts";

const PROPAGATORS = ["tracecontext", "baggage"];

/** Record headers as kafkajs hands them over; a repeated key holds a list. */
export type KafkaHeaders = Record<string, Buffer | string | (Buffer | string)[] | undefined>;

/** The headers that one hop adds. */
export type TraceHeaders = Record<string, string>;

/**
 * Builds the propagator that OTEL_PROPAGATORS asks for.
 * @param names comma-separated, in any letters; `tracecontext`, `baggage` and `none` are known; empty
 *   counts as not set, and so does a list with nothing known in it, or with `none` beside others
 * @returns the propagator, and what was wrong with the names
 */
export function createPropagator(
  names?: string,
): { propagator: TextMapPropagator } & Pick<WordList, "unknown" | "isContradictory"> {
  const { chosen, ...problems } = parseWords(names, PROPAGATORS, PROPAGATORS);
  const propagators = chosen.map((name) =>
    name === "baggage" ? new W3CBaggagePropagator() : new TraceContextPropagator(),
  );
  return { propagator: new CompositePropagator({ propagators }), ...problems };
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

/**
 * A caller's own headers with those of the hop: where both have one, ours goes out alone. With our
 * `traceparent` the caller's `tracestate` stays behind as well: it belongs to the caller's.
 * @param own in any form that fetch takes, names in any letters; left as they are
 */
export function withTraceHeaders(
  own: ConstructorParameters<typeof Headers>[0],
  traceHeaders: TraceHeaders,
): Headers {
  const headers = new Headers(own);
  if (TRACEPARENT in traceHeaders) headers.delete(TRACESTATE);
  for (const name in traceHeaders) headers.set(name, traceHeaders[name] ?? "");
  return headers;
}

const httpGetter: TextMapGetter<Headers> = {
  keys: (headers) => [...headers.keys()],
  // `Headers` joins a header that was sent twice with a comma: two traceparents are then malformed
  // and ignored, two tracestates or baggages are one list, each as its specification says.
  get: (headers, key) => headers.get(key) ?? undefined,
};

const kafkaGetter: TextMapGetter<KafkaHeaders> = {
  keys: (headers) => Object.keys(headers),
  get: (headers, key) => {
    const value = headers[key];
    // Whoever hands a record on adds his own headers at the end: of each name the last one counts, as
    // in Kafka's own `lastHeader`. To join two tracestates would mix those of two traces.
    return (Array.isArray(value) ? value.at(-1) : value)?.toString();
  },
};
