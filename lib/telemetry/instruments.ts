/**
 * Every metric instrument of OrderFlow: name, unit, bucket boundaries.
 *
 * An instrument can be used before telemetry is set up and when it is switched off; it then records
 * nothing. `bindInstruments` connects all of them to a meter provider.
 */
import type { Attributes, MeterProvider } from "@opentelemetry/api";
import { ATTR_HTTP_REQUEST_METHOD, ATTR_URL_SCHEME } from "./attributes.ts";

/** Boundaries of request durations in seconds, as the HTTP and messaging conventions give them. */
const REQUEST_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** Boundaries of database durations in seconds, as the database conventions give them. */
const DATABASE_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];
/** Ours: an order is settled in some tenths of a second, or after minutes of retries. */
const SETTLE_SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

interface Recorder {
  record(value: number, attributes?: Attributes): void;
}
interface Adder {
  add(value: number, attributes?: Attributes): void;
}

const definitions: ((provider: MeterProvider) => void)[] = [];

/**
 * Connects every instrument to a meter provider. Called once by the set-up; a test may call it again.
 */
export function bindInstruments(provider: MeterProvider): void {
  for (const bind of definitions) bind(provider);
}

function histogram(name: string, description: string, boundaries: number[]): Recorder {
  let instrument: Recorder | undefined;
  definitions.push((provider) => {
    instrument = provider.getMeter("orderflow", "1.0.0").createHistogram(name, {
      description,
      unit: "s",
      advice: { explicitBucketBoundaries: boundaries },
    });
  });
  return { record: (value, attributes) => instrument?.record(value, attributes) };
}

function counter(name: string, description: string, unit: string): Adder {
  let instrument: Adder | undefined;
  definitions.push((provider) => {
    instrument = provider.getMeter("orderflow", "1.0.0").createCounter(name, { description, unit });
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
  const bind = (provider: MeterProvider) => {
    const instrument = provider.getMeter("orderflow", "1.0.0")[kind](name, { description, unit });
    instrument.addCallback((result) => {
      for (const [value, attributes] of read()) result.observe(value, attributes);
    });
  };
  definitions.push(bind);
}

// HTTP: https://github.com/open-telemetry/semantic-conventions/blob/main/docs/http/http-metrics.md
export const httpServerRequestDuration = histogram(
  "http.server.request.duration",
  "Duration of HTTP server requests.",
  REQUEST_SECONDS,
);
/** By method. */
export const httpServerActiveRequests = level(
  "http.server.active_requests",
  "Number of active HTTP server requests.",
  "{request}",
  (method) => ({ [ATTR_HTTP_REQUEST_METHOD]: method, [ATTR_URL_SCHEME]: "http" }),
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

// Ours: what the business counts.
export const ordersCreated = counter(
  "orderflow.orders.created",
  "Number of orders accepted.",
  "{order}",
);
export const ordersSettled = counter(
  "orderflow.orders.settled",
  "Number of orders confirmed or cancelled.",
  "{order}",
);
export const orderSettleDuration = histogram(
  "orderflow.order.settle.duration",
  "Time from an order's creation to its confirmation or cancellation.",
  SETTLE_SECONDS,
);
export const stockReservations = counter(
  "orderflow.stock.reservations",
  "Number of stock reservations asked for, by result.",
  "{reservation}",
);
export const deadLetters = counter(
  "orderflow.dead_letters",
  "Number of records given to the dead-letter topic.",
  "{message}",
);
export const emailsSent = counter(
  "orderflow.emails.sent",
  "Number of e-mails sent, and of repeats that were answered without sending.",
  "{email}",
);
/** By table. */
export const cleanUpDeleted = counter(
  "orderflow.cleanup.deleted",
  "Number of rows deleted because their time was over.",
  "{row}",
);
