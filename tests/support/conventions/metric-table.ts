/**
 * Every metric that OrderFlow exports: instrument, unit, bucket boundaries and attributes, as the
 * semantic conventions 1.45 give them where they know the metric. The checks and the reference in
 * docs/telemetry.md both come from this table.
 */
import type { Attributes, RecordedPoint, ValueType } from "./recorded.ts";

const PAGES = "https://github.com/open-telemetry/semantic-conventions/blob/main/docs";

export interface MetricAttribute {
  type: ValueType;
  level: "required" | "recommended" | { when: string; holds(attributes: Attributes): boolean };
  /** The values it can have, so that nobody outside can add series. */
  values: RegExp;
  about: string;
}

export interface MetricType {
  instrument: RecordedPoint["instrument"];
  unit: string;
  boundaries?: readonly number[];
  attributes: Record<string, MetricAttribute>;
  about: string;
  /** Where the conventions describe it; without one it is ours. */
  page?: string;
}

const REQUEST_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const DATABASE_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];

const METHOD: MetricAttribute = {
  type: "string",
  level: "required",
  values: /^(CONNECT|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT|TRACE|QUERY|_OTHER)$/,
  about: "a known method, else `_OTHER`",
};
const SCHEME: MetricAttribute = { type: "string", level: "required", values: /^http$/, about: "" };
const STATUS: MetricAttribute = {
  type: "int",
  level: "required",
  values: /^[1-5]\d\d$/,
  about: "",
};
const errorType = (values: RegExp, about: string): MetricAttribute => ({
  type: "string",
  level: "recommended",
  values,
  about: `only on failures: ${about}`,
});
const ERROR_CLASS = /^[A-Z]\w{2,63}$/;

const MESSAGING: Record<string, MetricAttribute> = {
  "messaging.system.name": { type: "string", level: "required", values: /^kafka$/, about: "" },
  "messaging.operation.name": {
    type: "string",
    level: "required",
    values: /^(send|process|consume)$/,
    about: "",
  },
  "messaging.destination.name": {
    type: "string",
    level: "required",
    values: /^order\.created(\.dlq)?$/,
    about: "the topic",
  },
};
const FAILED_MESSAGING = { "error.type": errorType(ERROR_CLASS, "the error's class") };
const GROUP: Record<string, MetricAttribute> = {
  "messaging.consumer.group.name": {
    type: "string",
    level: "required",
    values: /^notification-worker$/,
    about: "",
  },
};
const SDK_COMPONENT: Record<string, MetricAttribute> = {
  "otel.component.type": {
    type: "string",
    level: "required",
    values: /^batching_(span|log)_processor$/,
    about: "",
  },
  "otel.component.name": {
    type: "string",
    level: "required",
    values: /^batching_(span|log)_processor\/\d$/,
    about: "",
  },
};

const CLEANED_TABLE: Record<string, MetricAttribute> = {
  "orderflow.cleanup.table": {
    type: "string",
    level: "required",
    values: /^(orders\.idempotency_keys|inventory\.reservations)$/,
    about: "",
  },
};

/** Name → what it is. */
export const METRIC_TYPES: Readonly<Record<string, MetricType>> = {
  "http.server.request.duration": {
    instrument: "Histogram",
    unit: "s",
    boundaries: REQUEST_SECONDS,
    about: "Every request but those for health and metrics, sampled or not.",
    page: `${PAGES}/http/http-metrics.md#metric-httpserverrequestduration`,
    attributes: {
      "http.request.method": METHOD,
      "url.scheme": SCHEME,
      "http.response.status_code": STATUS,
      "http.route": {
        type: "string",
        level: "recommended",
        values: /^\/[a-z0-9-]+(\/:?[a-zA-Z.-]+)*$/,
        about: "the route's template, where one matched",
      },
      "error.type": {
        type: "string",
        level: {
          when: "the status is 5xx",
          holds: (attributes) => Number(attributes["http.response.status_code"]?.value) >= 500,
        },
        values: /^5\d\d$/,
        about: "the status",
      },
    },
  },
  "http.server.active_requests": {
    instrument: "UpDownCounter",
    unit: "{request}",
    about: "Requests that are being answered.",
    page: `${PAGES}/http/http-metrics.md#metric-httpserveractive_requests`,
    attributes: { "http.request.method": METHOD, "url.scheme": SCHEME },
  },
  "http.client.request.duration": {
    instrument: "Histogram",
    unit: "s",
    boundaries: REQUEST_SECONDS,
    about: "Every try of a call to another service, the reading of the answer included.",
    page: `${PAGES}/http/http-metrics.md#metric-httpclientrequestduration`,
    attributes: {
      "http.request.method": METHOD,
      "server.address": {
        type: "string",
        level: "required",
        values: /^[\w.-]+$/,
        about: "of the service called",
      },
      "server.port": {
        type: "int",
        level: "required",
        values: /^\d+$/,
        about: "of the service called",
      },
      "http.response.status_code": {
        ...STATUS,
        level: "recommended",
        about: "where an answer came",
      },
      "error.type": {
        type: "string",
        level: {
          when: "the status is 4xx or 5xx, or no answer came",
          holds: (attributes) =>
            Number(attributes["http.response.status_code"]?.value ?? 599) >= 400,
        },
        values: /^([45]\d\d|[A-Z]\w{2,63})$/,
        about: "the status, else the error's code or class",
      },
    },
  },
  "db.client.operation.duration": {
    instrument: "Histogram",
    unit: "s",
    boundaries: DATABASE_SECONDS,
    about: "Every statement.",
    page: `${PAGES}/db/database-metrics.md#metric-dbclientoperationduration`,
    attributes: {
      "db.system.name": { type: "string", level: "required", values: /^postgresql$/, about: "" },
      "db.namespace": { type: "string", level: "required", values: /^\w+$/, about: "the database" },
      "db.query.summary": {
        type: "string",
        level: "required",
        values: /^(SELECT|INSERT|UPDATE|DELETE|BEGIN|COMMIT|ROLLBACK|SQL)( [A-Za-z_.]+)*$/,
        about: "operations and tables",
      },
      "server.address": { type: "string", level: "required", values: /^[\w.-]+$/, about: "" },
      "server.port": {
        type: "int",
        level: "recommended",
        values: /^\d+$/,
        about: "where it is not 5432",
      },
      "db.response.status_code": {
        type: "string",
        level: {
          when: "PostgreSQL answered with an error",
          holds: (attributes) => /^[0-9A-Z]{5}$/.test(String(attributes["error.type"]?.value)),
        },
        values: /^[0-9A-Z]{5}$/,
        about: "the SQLSTATE",
      },
      "error.type": errorType(
        /^([0-9A-Z]{5}|[A-Z]\w{2,63})$/,
        "the SQLSTATE, else Bun's error code",
      ),
    },
  },
  "messaging.client.sent.messages": {
    instrument: "Counter",
    unit: "{message}",
    about: "Records handed to the broker, dead letters too; failures included.",
    page: `${PAGES}/messaging/messaging-metrics.md#metric-messagingclientsentmessages`,
    attributes: { ...MESSAGING, ...FAILED_MESSAGING },
  },
  "messaging.client.operation.duration": {
    instrument: "Histogram",
    unit: "s",
    boundaries: REQUEST_SECONDS,
    about: "Each send, of one record or of a batch.",
    page: `${PAGES}/messaging/messaging-metrics.md#metric-messagingclientoperationduration`,
    attributes: {
      ...MESSAGING,
      "messaging.operation.type": {
        type: "string",
        level: "required",
        values: /^send$/,
        about: "",
      },
      ...FAILED_MESSAGING,
    },
  },
  "messaging.client.consumed.messages": {
    instrument: "Counter",
    unit: "{message}",
    about: "Records that the worker took in hand.",
    page: `${PAGES}/messaging/messaging-metrics.md#metric-messagingclientconsumedmessages`,
    attributes: { ...MESSAGING, ...GROUP },
  },
  "messaging.process.duration": {
    instrument: "Histogram",
    unit: "s",
    boundaries: REQUEST_SECONDS,
    about: "The handling of each record, waits between tries included.",
    page: `${PAGES}/messaging/messaging-metrics.md#metric-messagingprocessduration`,
    attributes: { ...MESSAGING, ...GROUP, ...FAILED_MESSAGING },
  },
  "process.cpu.time": {
    instrument: "Counter",
    unit: "s",
    about: "CPU time of the process.",
    page: `${PAGES}/system/process-metrics.md#metric-processcputime`,
    attributes: {
      "cpu.mode": { type: "string", level: "required", values: /^(user|system)$/, about: "" },
    },
  },
  "process.memory.usage": {
    instrument: "UpDownCounter",
    unit: "By",
    about: "Resident memory (RSS).",
    page: `${PAGES}/system/process-metrics.md#metric-processmemoryusage`,
    attributes: {},
  },
  "process.uptime": {
    instrument: "Gauge",
    unit: "s",
    about: "Time since the process started.",
    page: `${PAGES}/system/process-metrics.md#metric-processuptime`,
    attributes: {},
  },
  "orderflow.runtime.heap.used": {
    instrument: "Gauge",
    unit: "By",
    about: "Live bytes on JavaScriptCore's heap.",
    attributes: {},
  },
  "orderflow.runtime.eventloop.delay.p50": {
    instrument: "Gauge",
    unit: "s",
    about: "Median delay of the event loop.",
    attributes: {},
  },
  "orderflow.runtime.eventloop.delay.p99": {
    instrument: "Gauge",
    unit: "s",
    about: "99th percentile of it.",
    attributes: {},
  },
  "orderflow.orders.created": {
    instrument: "Counter",
    unit: "{order}",
    about: "Orders accepted.",
    attributes: {},
  },
  "orderflow.orders.settled": {
    instrument: "Counter",
    unit: "{order}",
    about: "Orders confirmed or cancelled.",
    attributes: {
      "orderflow.order.status": {
        type: "string",
        level: "required",
        values: /^(confirmed|cancelled)$/,
        about: "",
      },
    },
  },
  "orderflow.order.settle.duration": {
    instrument: "Histogram",
    unit: "s",
    boundaries: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
    about: "From an order's creation to its confirmation or cancellation.",
    attributes: {
      "orderflow.order.status": {
        type: "string",
        level: "required",
        values: /^(confirmed|cancelled)$/,
        about: "",
      },
    },
  },
  "orderflow.stock.reservations": {
    instrument: "Counter",
    unit: "{reservation}",
    about: "Reservations asked for.",
    attributes: {
      "orderflow.reservation.result": {
        type: "string",
        level: "required",
        values: /^(reserved|repeated|refused|unknown)$/,
        about: "`reserved`, `repeated`, `refused`, `unknown`",
      },
    },
  },
  "orderflow.consumer.lag": {
    instrument: "Gauge",
    unit: "{message}",
    about:
      "Records that the consumer group has not committed yet; each of its members tells the whole group's.",
    attributes: {},
  },
  "orderflow.outbox.pending": {
    instrument: "Gauge",
    unit: "{event}",
    about: "Events that wait to be published, as of the relay's last look.",
    attributes: {},
  },
  "orderflow.outbox.oldest.age": {
    instrument: "Gauge",
    unit: "s",
    about: "Age of the event that has waited longest.",
    attributes: {},
  },
  "orderflow.dead_letters": {
    instrument: "Counter",
    unit: "{message}",
    about: "Records given to the dead-letter topic.",
    attributes: {},
  },
  "orderflow.emails.sent": {
    instrument: "Counter",
    unit: "{email}",
    about: "E-mails sent, and repeats that were answered without sending.",
    attributes: {
      "orderflow.email.result": {
        type: "string",
        level: "required",
        values: /^(sent|repeated)$/,
        about: "",
      },
    },
  },
  "orderflow.orders.overdue": {
    instrument: "Gauge",
    unit: "{order}",
    about: "Orders that have been pending for more than 5 minutes, counted up to 100,000.",
    attributes: {},
  },
  "orderflow.cleanup.deleted": {
    instrument: "Counter",
    unit: "{row}",
    about: "Rows deleted because their time was over.",
    attributes: CLEANED_TABLE,
  },
  "orderflow.cleanup.overdue": {
    instrument: "Gauge",
    unit: "s",
    about: "Time by which the oldest row has outstayed its retention; 0 where none has.",
    attributes: CLEANED_TABLE,
  },
  ...processorMetrics("span", "{span}", "Spans"),
  ...processorMetrics("log", "{log_record}", "With OTEL_LOGS_EXPORTER=otlp: log records"),
};

/** What a batch processor of the SDK counts. */
function processorMetrics(signal: "span" | "log", unit: string, what: string) {
  const metric = (
    name: string,
    instrument: MetricType["instrument"],
    about: string,
    attributes: MetricType["attributes"] = SDK_COMPONENT,
  ): Record<string, MetricType> => {
    const full = `otel.sdk.processor.${signal}.${name}`;
    const page = `${PAGES}/otel/sdk-metrics.md#metric-${full.replace(/[._]/g, "")}`;
    return { [full]: { instrument, unit, about, page, attributes } };
  };
  return {
    ...metric(
      "processed",
      "Counter",
      `${what} given to the exporter; with \`error.type\` those that were lost: \`queue_full\`, or the error of the export.`,
      {
        ...SDK_COMPONENT,
        "error.type": errorType(/^(queue_full|[A-Z]\w{2,63})$/, "why they were lost"),
      },
    ),
    ...metric("queue.capacity", "UpDownCounter", `${what}: how many can wait for their export.`),
    ...metric("queue.size", "UpDownCounter", `${what}: how many wait.`),
  };
}

const UNIT_SUFFIX: Readonly<Record<string, string>> = { s: "_seconds", By: "_bytes" };

/** The metric's name in Prometheus form, as `GET /metrics` shows it. */
export function prometheusName(name: string, { unit, instrument }: MetricType): string {
  const suffix = UNIT_SUFFIX[unit] ?? "";
  return `${name.replaceAll(".", "_")}${suffix}${instrument === "Counter" ? "_total" : ""}`;
}
