/**
 * Every kind of span that OrderFlow makes, as the semantic conventions 1.45 describe it: name, kind,
 * attributes with type and requirement level. The checks and the reference in docs/telemetry.md both
 * come from this table.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
import type { Kind, RecordedSpan, ValueType } from "./recorded.ts";

const PAGES = "https://github.com/open-telemetry/semantic-conventions/blob/main/docs";

export interface AttributeRule {
  type: ValueType;
  /**
   * `required`: always there. `recommended`: may be there. A condition: there exactly when it holds.
   */
  level: "required" | "recommended" | Condition;
  /** What its value must look like, where the conventions or the layer say so. */
  form?: RegExp;
  about: string;
}

export interface Condition {
  /** For a person; completes "there exactly when …". */
  when: string;
  holds(span: RecordedSpan): boolean;
}

export interface SpanType {
  id: string;
  title: string;
  /** Which span this is; looks neither at kind nor name, which are checked. */
  matches(span: RecordedSpan): boolean;
  kind: Kind;
  /** The name's form, for a person. */
  nameForm: string;
  name(span: RecordedSpan): string;
  /** Whether the span's parent is of another process, this one, or it has none. */
  about: string;
  page: string;
  /** Where it is made. */
  file: string;
  attributes: Record<string, AttributeRule>;
  /** What else must hold; a text says what is broken. */
  extra?: Record<string, (span: RecordedSpan) => string | undefined>;
}

const failed: Condition = {
  when: "the status is ERROR",
  holds: (span) => span.status.code === "ERROR",
};

const errorType: AttributeRule = {
  type: "string",
  level: failed,
  form: /^[\w.]{1,64}$/,
  about: "an HTTP status, an SQLSTATE, or the class or code of the error",
};

/** On every span but that of a request without a route, when ORDERFLOW_CODE_LOCATION=on. */
export const CODE_ATTRIBUTES: Record<string, AttributeRule> = {
  "code.function.name": { type: "string", level: "required", about: "the caller's function" },
  "code.file.path": {
    type: "string",
    level: "required",
    form: /^(services|lib|scripts|tests)\/[\w./-]+\.ts$/,
    about: "its file, relative to the repository",
  },
  "code.line.number": { type: "int", level: "required", about: "the line of the call" },
};

/** On any span that a learning switch has struck; the flows run without them. */
export const FAULT_ATTRIBUTE = "orderflow.fault";

/** The headers that a span sent: seen where code locations are on. */
export const INJECTED_ATTRIBUTES: Readonly<Record<string, AttributeRule>> = {
  "orderflow.propagation.traceparent": {
    type: "string",
    level: "recommended",
    form: /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-9a-f]$/,
    about: "with code locations on: the `traceparent` that was sent along",
  },
  "orderflow.propagation.baggage": {
    type: "string",
    level: "recommended",
    about: "the `baggage` likewise, without the values of members that are secret by their names",
  },
};

const METHODS = /^(CONNECT|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT|TRACE|QUERY|_OTHER)$/;

const textOf = (span: RecordedSpan, key: string) => String(span.attributes[key]?.value ?? "");
const has = (span: RecordedSpan, key: string) => span.attributes[key] !== undefined;
const hasAny = (span: RecordedSpan, prefix: string) =>
  Object.keys(span.attributes).some((key) => key.startsWith(prefix));
const methodInName = (span: RecordedSpan) => {
  const method = textOf(span, "http.request.method");
  return method === "_OTHER" ? "HTTP" : method;
};
const isHttp = (span: RecordedSpan) => hasAny(span, "http.") || hasAny(span, "url.");
const operationIs = (operation: string) => (span: RecordedSpan) =>
  hasAny(span, "messaging.") && span.name.startsWith(`${operation} `);
const isDeadLetter = (span: RecordedSpan) =>
  textOf(span, "messaging.destination.name").endsWith(".dlq");

const HTTP_SERVER: SpanType = {
  id: "http.server",
  title: "HTTP request in",
  matches: (span) => isHttp(span) && !has(span, "url.full"),
  kind: "SERVER",
  nameForm: "`{method} {route}`, without a route `{method}`; `HTTP` where the method is `_OTHER`",
  name: (span) => `${methodInName(span)} ${textOf(span, "http.route")}`.trimEnd(),
  about: "One for each request, also for those that match no route, are refused or break off.",
  page: `${PAGES}/http/http-spans.md#http-server-span`,
  file: "http/server.ts",
  attributes: {
    "http.request.method": {
      type: "string",
      level: "required",
      form: METHODS,
      about: "a known method, else `_OTHER`",
    },
    "http.request.method_original": {
      type: "string",
      level: {
        when: "the method is `_OTHER`",
        holds: (span) => textOf(span, "http.request.method") === "_OTHER",
      },
      about: "the method as it was sent",
    },
    "url.path": { type: "string", level: "required", form: /^[^?#]+$/, about: "without the query" },
    "url.scheme": { type: "string", level: "required", form: /^https?$/, about: "`http`" },
    "url.query": {
      type: "string",
      level: "recommended",
      form: /^[^?].*$/,
      about: "where there is one; values of secret parameters are `REDACTED`",
    },
    "http.route": {
      type: "string",
      level: "recommended",
      form: /^\/[\w/:.-]*$/,
      about: "the route's template, where one matched",
    },
    "http.response.status_code": { type: "int", level: "required", about: "what was answered" },
    "server.address": { type: "string", level: "recommended", about: "from the Host header" },
    "server.port": {
      type: "int",
      level: {
        when: "`server.address` is there",
        holds: (span) => has(span, "server.address"),
      },
      about: "from the Host header, else the scheme's own",
    },
    "user_agent.original": { type: "string", level: "recommended", about: "the header" },
    "error.type": { ...errorType, form: /^5\d\d$/, about: "the status" },
  },
  extra: {
    "status is ERROR exactly for 5xx": (span) => {
      const failing = Number(span.attributes["http.response.status_code"]?.value) >= 500;
      return failing === (span.status.code === "ERROR") ? undefined : span.status.code;
    },
    "`http.route` is not the path of an unmatched request": (span) => {
      const status = span.attributes["http.response.status_code"]?.value;
      return (status === 404 && textOf(span, "url.path").includes("no-such")) || status === 405
        ? has(span, "http.route")
          ? `http.route is ${textOf(span, "http.route")}`
          : undefined
        : undefined;
    },
  },
};

const HTTP_CLIENT: SpanType = {
  id: "http.client",
  title: "HTTP call out",
  matches: (span) => isHttp(span) && has(span, "url.full"),
  kind: "CLIENT",
  nameForm: "`{method}`",
  name: methodInName,
  about: "One for each try.",
  page: `${PAGES}/http/http-spans.md#http-client-span`,
  file: "http/client.ts",
  attributes: {
    "http.request.method": { type: "string", level: "required", form: METHODS, about: "" },
    "server.address": { type: "string", level: "required", about: "of the service called" },
    "server.port": { type: "int", level: "required", about: "of the service called" },
    "url.full": {
      type: "string",
      level: "required",
      form: /^https?:\/\/(?!(?!REDACTED)[^/]*@)\S+$/,
      about: "user name, password and secret query parameters are `REDACTED`",
    },
    "http.response.status_code": {
      type: "int",
      level: "recommended",
      about: "where an answer came",
    },
    "http.request.resend_count": {
      type: "int",
      level: "recommended",
      about: "from the second try on: 1, 2, …",
    },
    "error.type": { ...errorType, about: "the status (4xx, 5xx), else the error's code or class" },
    ...INJECTED_ATTRIBUTES,
  },
  extra: {
    "status is ERROR exactly for 4xx, 5xx and no answer": (span) => {
      const status = Number(span.attributes["http.response.status_code"]?.value ?? 599);
      return status >= 400 === (span.status.code === "ERROR") ? undefined : span.status.code;
    },
    "`error.type` is the status where an answer came": (span) => {
      if (span.status.code !== "ERROR" || !has(span, "http.response.status_code")) return undefined;
      const status = textOf(span, "http.response.status_code");
      return textOf(span, "error.type") === status ? undefined : textOf(span, "error.type");
    },
    "`http.request.resend_count` counts from 1": (span) => {
      const count = span.attributes["http.request.resend_count"]?.value;
      return count === undefined || Number(count) >= 1 ? undefined : String(count);
    },
  },
};

/** Constants that our statements contain; every other literal would be a value that leaked. */
const SQL_CONSTANTS = new Set([
  "'epoch'",
  "'1 microsecond'",
  "'reserved'",
  "'released'",
  "0",
  "1",
  "1000000",
]);

const DATABASE: SpanType = {
  id: "db.client",
  title: "SQL statement",
  matches: (span) => hasAny(span, "db."),
  kind: "CLIENT",
  nameForm: "`{db.query.summary}`",
  name: (span) => textOf(span, "db.query.summary"),
  about: "One for each statement, `BEGIN`, `COMMIT` and `ROLLBACK` included.",
  page: `${PAGES}/db/postgresql.md#spans`,
  file: "sql/sql.ts",
  attributes: {
    "db.system.name": { type: "string", level: "required", form: /^postgresql$/, about: "" },
    "db.namespace": {
      type: "string",
      level: "required",
      about: "the database's name; the schema stands in each table's name instead",
    },
    "db.query.summary": {
      type: "string",
      level: "required",
      form: /^(SELECT|INSERT|UPDATE|DELETE|BEGIN|COMMIT|ROLLBACK|SQL)( [A-Za-z_.]+)*$/,
      about: "operations and tables, in the order of the text",
    },
    "db.query.text": {
      type: "string",
      level: "required",
      about:
        "as PostgreSQL gets it: `$1` placeholders, never values; of a text made at run time (`run`) each literal is `?`",
    },
    "db.response.status_code": {
      type: "string",
      level: {
        when: "PostgreSQL answered with an error",
        holds: (span) => /^[0-9A-Z]{5}$/.test(textOf(span, "error.type")),
      },
      form: /^[0-9A-Z]{5}$/,
      about: "the SQLSTATE",
    },
    "server.address": { type: "string", level: "required", about: "from the connection URL" },
    "server.port": { type: "int", level: "recommended", about: "where it is not 5432" },
    "error.type": { ...errorType, about: "the SQLSTATE, else Bun's error code" },
  },
  extra: {
    "`db.query.text` holds no values": (span) => {
      const literals = textOf(span, "db.query.text").match(
        /'(?:[^']|'')*'|(?<![$\w.])\d+(\.\d+)?/g,
      );
      return literals?.find((literal) => !SQL_CONSTANTS.has(literal));
    },
    "`error.type` matches `db.response.status_code`": (span) =>
      has(span, "db.response.status_code") &&
      textOf(span, "error.type") !== textOf(span, "db.response.status_code")
        ? textOf(span, "error.type")
        : undefined,
  },
};

const messaging = (operation: string): Record<string, AttributeRule> => ({
  "messaging.system.name": { type: "string", level: "required", form: /^kafka$/, about: "" },
  "messaging.operation.name": {
    type: "string",
    level: "required",
    form: new RegExp(`^${operation}$`),
    about: "",
  },
  "messaging.operation.type": {
    type: "string",
    level: "required",
    form: new RegExp(`^${operation}$`),
    about: "",
  },
  "messaging.destination.name": { type: "string", level: "required", about: "the topic" },
  "error.type": { ...errorType, about: "the error's class" },
});
const messagingName = (span: RecordedSpan) =>
  `${textOf(span, "messaging.operation.name")} ${textOf(span, "messaging.destination.name")}`;
const messageKey: AttributeRule = {
  type: "string",
  level: "recommended",
  about: "the record's key, where there is one: the order's id",
};
const tombstone: AttributeRule = {
  type: "boolean",
  level: {
    when: "the record has no value",
    // The flows give such records this key; a span alone does not tell.
    holds: (span) => textOf(span, "kafka.message.key") === "tombstone",
  },
  form: /^true$/,
  about: "",
};
const isBatch = (span: RecordedSpan) => span.links.length > 1;
const linksToParent = (span: RecordedSpan) => {
  if (span.parentSpanId === "") return undefined;
  return span.links.some(({ spanId }) => spanId === span.parentSpanId)
    ? undefined
    : "no link to the parent";
};

const CREATE: SpanType = {
  id: "messaging.create",
  title: "Event written to the outbox",
  matches: operationIs("create"),
  kind: "PRODUCER",
  nameForm: "`create {topic}`",
  name: messagingName,
  about: "Its context goes into the record's headers and is never changed after.",
  page: `${PAGES}/messaging/kafka.md#create-span`,
  file: "kafka/producer.ts",
  attributes: {
    ...messaging("create"),
    "kafka.message.key": { ...messageKey, level: "required" },
    ...INJECTED_ATTRIBUTES,
  },
};

const SEND: SpanType = {
  id: "messaging.send",
  title: "Relay publishes",
  matches: (span) => operationIs("send")(span) && !isDeadLetter(span),
  kind: "CLIENT",
  nameForm: "`send {topic}`",
  name: messagingName,
  about:
    "Links to each record's creation context; with one record that context is the parent too, with several the parent is `relay outbox`.",
  page: `${PAGES}/messaging/kafka.md#send-span-client`,
  file: "kafka/producer.ts",
  attributes: {
    ...messaging("send"),
    "kafka.message.key": {
      ...messageKey,
      level: { when: "it is one record", holds: (span) => !isBatch(span) },
    },
    "messaging.batch.message_count": {
      type: "int",
      level: { when: "it is several records", holds: isBatch },
      about: "",
    },
  },
  extra: {
    "links to every record's creation context": (span) => {
      const count = Number(span.attributes["messaging.batch.message_count"]?.value ?? 1);
      return span.links.length === count
        ? undefined
        : `${span.links.length} links, ${count} records`;
    },
  },
};

const DEAD_LETTER: SpanType = {
  id: "messaging.dead_letter",
  title: "Record given up",
  matches: (span) => operationIs("send")(span) && isDeadLetter(span),
  kind: "CLIENT",
  nameForm: "`send {topic}.dlq`",
  name: messagingName,
  about:
    "Child of the handling. The record keeps its own creation context, which the span links to: so it is no PRODUCER.",
  page: `${PAGES}/messaging/kafka.md#send-span-client`,
  file: "kafka/producer.ts",
  attributes: {
    ...messaging("send"),
    "kafka.message.key": messageKey,
    "kafka.message.tombstone": tombstone,
  },
};

const PROCESS: SpanType = {
  id: "messaging.process",
  title: "Worker handles a record",
  matches: operationIs("process"),
  kind: "CONSUMER",
  nameForm: "`process {topic}`",
  name: messagingName,
  about:
    "Child of the message's creation context, and links to it. Events: `retry` before each further try, `abandoned` where the record is given back.",
  page: `${PAGES}/messaging/kafka.md#process-span`,
  file: "kafka/consumer.ts",
  attributes: {
    ...messaging("process"),
    "messaging.consumer.group.name": { type: "string", level: "required", about: "" },
    "messaging.destination.partition.id": {
      type: "string",
      level: "required",
      form: /^\d+$/,
      about: "",
    },
    "kafka.offset": { type: "int", level: "required", about: "" },
    "kafka.message.key": messageKey,
    "kafka.message.tombstone": tombstone,
    "orderflow.order.id": {
      type: "string",
      level: "recommended",
      about: "where the record could be read",
    },
    "orderflow.order.status": {
      type: "string",
      level: "recommended",
      form: /^(confirmed|cancelled|shipped)$/,
      about: "what the order came to",
    },
  },
  extra: { "links to the message's creation context": linksToParent },
};

const ROOT = join(import.meta.dir, "../../..");
/** What the services' code calls its steps: fixed texts, so that there are few of them. */
const STEPS = ["services", "lib/service"]
  .flatMap((folder) => [...new Glob(`${folder}/**/*.ts`).scanSync(ROOT)])
  .filter((file) => !file.endsWith(".test.ts"))
  .flatMap((file) => [
    ...readFileSync(join(ROOT, file), "utf8").matchAll(/\binSpan\(\s*"([^"]+)"/g),
  ])
  .map(([, name = ""]) => name)
  .sort();

const INTERNAL: SpanType = {
  id: "internal",
  title: "Step inside a service",
  matches: (span) => !isHttp(span) && !hasAny(span, "db.") && !hasAny(span, "messaging."),
  kind: "INTERNAL",
  nameForm: `one of the few fixed names: ${STEPS.map((name) => `\`${name}\``).join(", ")}`,
  name: (span) => STEPS.find((name) => name === span.name) ?? "a known step",
  about:
    "`relay outbox` is the root of its own trace: a batch may hold the events of many orders. So is `clean up`, one a batch of rows, and `republish order` of `bun run orders republish`.",
  page: "https://opentelemetry.io/docs/specs/otel/trace/api/#spankind",
  file: "span.ts",
  attributes: {
    "orderflow.order.id": {
      type: "string",
      level: {
        when: "it is about one order",
        holds: (span) => !["relay outbox", "clean up"].includes(span.name),
      },
      about: "",
    },
    "orderflow.cleanup.table": {
      type: "string",
      level: { when: "the step is `clean up`", holds: (span) => span.name === "clean up" },
      form: /^[a-z_]+\.[a-z_]+$/,
      about: "the table that rows are deleted from",
    },
    "error.type": { ...errorType, about: "the error's class, or what the class says itself" },
  },
};

export const SPAN_TYPES: readonly SpanType[] = [
  HTTP_SERVER,
  HTTP_CLIENT,
  DATABASE,
  CREATE,
  SEND,
  DEAD_LETTER,
  PROCESS,
  INTERNAL,
];

/** Events on spans: name → attributes. */
export const SPAN_EVENTS: Record<string, Record<string, AttributeRule>> = {
  retry: {
    "orderflow.retry.attempt": {
      type: "int",
      level: "required",
      about: "the try that failed, from 1",
    },
    "orderflow.retry.delay_ms": {
      type: "int",
      level: "required",
      about: "how long it waits before the next one",
    },
    "orderflow.retry.error": { type: "string", level: "required", about: "what went wrong" },
    "error.type": { ...errorType, level: "required" },
  },
  abandoned: {},
};

/** What stands on everything: who is speaking. */
export const RESOURCE_ATTRIBUTES: Record<string, AttributeRule> = {
  "service.name": { type: "string", level: "required", about: "OTEL_SERVICE_NAME goes over it" },
  "service.version": { type: "string", level: "required", about: "from package.json" },
  "service.namespace": { type: "string", level: "required", form: /^orderflow$/, about: "" },
  "service.instance.id": {
    type: "string",
    level: "required",
    form: /^[0-9a-f-]{36}$/,
    about: "a new UUID at each start",
  },
  "deployment.environment.name": {
    type: "string",
    level: "required",
    about: "`development`, unless OTEL_RESOURCE_ATTRIBUTES says otherwise",
  },
  "process.pid": { type: "int", level: "required", about: "" },
  "process.runtime.name": { type: "string", level: "required", form: /^bun$/, about: "" },
  "process.runtime.version": { type: "string", level: "required", about: "" },
  "telemetry.sdk.name": { type: "string", level: "required", form: /^opentelemetry$/, about: "" },
  "telemetry.sdk.language": { type: "string", level: "required", form: /^nodejs$/, about: "" },
  "telemetry.sdk.version": { type: "string", level: "required", about: "" },
};
