/**
 * The metric instruments of this layer, and how to make more: name, unit, bucket boundaries.
 *
 * An instrument can be used before telemetry is set up and when it is switched off; it then records
 * nothing. `bindInstruments` connects all of them to a meter provider.
 */
import type { Attributes, MeterProvider } from "@opentelemetry/api";
import { ATTR_HTTP_REQUEST_METHOD, ATTR_URL_SCHEME } from "../attributes.ts";
import { SCOPE_NAME, SCOPE_VERSION } from "../scope.ts";

/** Boundaries of request durations in seconds, as the HTTP and messaging conventions give them. */
const REQUEST_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** Boundaries of database durations in seconds, as the database conventions give them. */
const DATABASE_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];

interface Recorder {
  record(value: number, attributes?: Attributes): void;
}
interface Adder {
  add(value: number, attributes?: Attributes): void;
}

type Bind = (provider: MeterProvider) => void;

const definitions: Bind[] = [];
let bound: MeterProvider | undefined;

/**
 * Connects every instrument to a meter provider. Called once by the set-up; a test may call it again.
 */
export function bindInstruments(provider: MeterProvider): void {
  bound = provider;
  for (const bind of definitions) bind(provider);
}

/** Instruments may be defined before the set-up and after it. */
function define(bind: Bind): void {
  definitions.push(bind);
  if (bound) bind(bound);
}

/**
 * A histogram of durations in seconds.
 * @param boundaries of its buckets, in seconds
 */
export function histogram(name: string, description: string, boundaries: number[]): Recorder {
  let instrument: Recorder | undefined;
  define((provider) => {
    instrument = provider.getMeter(SCOPE_NAME, SCOPE_VERSION).createHistogram(name, {
      description,
      unit: "s",
      advice: { explicitBucketBoundaries: boundaries },
    });
  });
  return { record: (value, attributes) => instrument?.record(value, attributes) };
}

/** A counter. @param unit in UCUM, in braces for things: `{request}` */
export function counter(name: string, description: string, unit: string): Adder {
  let instrument: Adder | undefined;
  define((provider) => {
    instrument = provider
      .getMeter(SCOPE_NAME, SCOPE_VERSION)
      .createCounter(name, { description, unit });
  });
  return { add: (value, attributes) => instrument?.add(value, attributes) };
}

/**
 * A number of things at present, by one word of low cardinality. It is counted here and read at each
 * collection, because the SDK's own up-down counter sorts and prints its attributes at each change.
 */
function level(
  name: string,
  description: string,
  unit: string,
  attributesOf: (word: string) => Attributes,
): { add(change: 1 | -1, word: string): void } {
  const levels = new Map<string, number>();
  observe("createObservableUpDownCounter", name, description, unit, () =>
    [...levels].map(([word, value]) => [value, attributesOf(word)]),
  );
  return { add: (change, word) => void levels.set(word, (levels.get(word) ?? 0) + change) };
}

/** One observed value; `read` is called at each collection and returns what is known then. */
export function gauge(
  name: string,
  description: string,
  unit: string,
  read: () => number | undefined,
): void {
  observe("createObservableGauge", name, description, unit, () => {
    const value = read();
    return value === undefined ? [] : [[value, {}]];
  });
}

/** An observed instrument with several attribute sets, for example CPU time by mode. */
export function observe(
  kind: "createObservableGauge" | "createObservableCounter" | "createObservableUpDownCounter",
  name: string,
  description: string,
  unit: string,
  read: () => [value: number, attributes: Attributes][],
): void {
  define((provider) => {
    const meter = provider.getMeter(SCOPE_NAME, SCOPE_VERSION);
    const instrument = meter[kind](name, { description, unit });
    instrument.addCallback((result) => {
      for (const [value, attributes] of read()) result.observe(value, attributes);
    });
  });
}

// HTTP: https://github.com/open-telemetry/semantic-conventions/blob/main/docs/http/http-metrics.md
export const httpServerRequestDuration = histogram(
  "http.server.request.duration",
  "Duration of HTTP server requests.",
  REQUEST_SECONDS,
);
/** By scheme and method, a space between them. */
export const httpServerActiveRequests = level(
  "http.server.active_requests",
  "Number of active HTTP server requests.",
  "{request}",
  (word) => {
    const [scheme, method] = word.split(" ");
    return { [ATTR_HTTP_REQUEST_METHOD]: method, [ATTR_URL_SCHEME]: scheme };
  },
);
export const httpClientRequestDuration = histogram(
  "http.client.request.duration",
  "Duration of HTTP client requests.",
  REQUEST_SECONDS,
);

// Database: https://github.com/open-telemetry/semantic-conventions/blob/main/docs/db/database-metrics.md
export const dbClientOperationDuration = histogram(
  "db.client.operation.duration",
  "Duration of database client operations.",
  DATABASE_SECONDS,
);

// Messaging: https://github.com/open-telemetry/semantic-conventions/blob/main/docs/messaging/messaging-metrics.md
export const messagingClientSentMessages = counter(
  "messaging.client.sent.messages",
  "Number of messages producer attempted to send to the broker.",
  "{message}",
);
export const messagingClientOperationDuration = histogram(
  "messaging.client.operation.duration",
  "Duration of messaging operation initiated by a producer or consumer client.",
  REQUEST_SECONDS,
);
export const messagingClientConsumedMessages = counter(
  "messaging.client.consumed.messages",
  "Number of messages that were delivered to the application.",
  "{message}",
);
export const messagingProcessDuration = histogram(
  "messaging.process.duration",
  "Duration of processing operation.",
  REQUEST_SECONDS,
);
