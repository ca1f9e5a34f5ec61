/**
 * What docs/configuration.md says. Who reads a variable, and what it must be, come from the configuration code
 * itself, which is run with an environment that notes what is asked for.
 */
import { join } from "node:path";
import { ConfigError, loadServiceConfig, type Env } from "#lib/service/config.ts";
import { loadFaults } from "#lib/service/faults.ts";
import {
  CALLED_NAMES,
  factsOf,
  neededBy,
  SERVICE_NAMES,
  urlVariable,
  type ServiceName,
} from "#lib/service/services.ts";
import { PORT_VARIABLES } from "../demo/ports.ts";
import { TRAFFIC_DEFAULTS } from "../traffic/config.ts";
import { markdownTable } from "../shared/markdown-table.ts";

type Loader = (env: Env) => unknown;
const LOADERS = Object.fromEntries(
  await Promise.all(SERVICE_NAMES.map(async (name) => [name, await loaderOf(name)] as const)),
) as Readonly<Record<ServiceName, Loader>>;

/** The function of a service's config.ts that reads its environment. */
async function loaderOf(name: ServiceName): Promise<Loader> {
  const file = join(import.meta.dir, "../../services", name, "config.ts");
  const exported = Object.entries((await import(file)) as Record<string, Loader>);
  const loader = exported.find(([key]) => /^load\w+Config$/.test(key))?.[1];
  if (!loader) throw new Error(`services/${name}/config.ts exports no load…Config(env)`);
  return loader;
}

/** What a variable is for, and what holds without it. */
const WORDS: Readonly<Record<string, readonly [what: string, without: string]>> = {
  PORT: ["where it listens; 0 is any free port", "the service's own, above"],
  HOST: ["the address it listens on", "`127.0.0.1`"],
  HTTP_REQUESTS_MAX: ["requests handled at a time; more are answered 503", "512"],
  LOG_LEVEL: ["the least that is logged", "`info`"],
  HTTP_INSTRUMENTATION: ["who makes the spans of requests", "`manual`"],
  ORDERFLOW_CODE_LOCATION: ["file and line on every span", "`off`"],
  ORDERFLOW_OPEN_SPANS: ["the viewer sees spans that have not ended", "`off`"],
  ORDERFLOW_FAULTS: ["[faults to try](faults.md) that are on, separated by commas", "none"],
  ORDERFLOW_FAULTS_ENDPOINT: ["`/faults` switches them while it runs", "`off`"],
  POSTGRES_URL: ["where the database is, with user and password", "required"],
  POSTGRES_URL_FILE: ["a file that holds it, in its place", "not used"],
  POSTGRES_POOLER: ["whether a pooler such as PgBouncer stands between", "`none`"],
  KAFKA_BROKERS: ["where Kafka is", "required"],
  KAFKA_SSL: ["TLS to the brokers", "`false`"],
  KAFKA_SSL_CA: ["a PEM file of the authorities", "the public ones"],
  KAFKA_SSL_CERT: ["a PEM file of our own certificate", "none"],
  KAFKA_SSL_KEY: ["a PEM file of its key", "none"],
  KAFKA_SASL_MECHANISM: ["how we say who we are", "we do not"],
  KAFKA_SASL_USERNAME: ["our name, or our client id", "required with a mechanism"],
  KAFKA_SASL_PASSWORD: ["our password, client secret or token", "required with a mechanism"],
  KAFKA_SASL_PASSWORD_FILE: ["a file that holds it, in its place", "not used"],
  KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL: ["where tokens are asked for", "the password is one"],
  KAFKA_SASL_OAUTHBEARER_SCOPE: ["what they are to be good for", "the server's default"],
  ...Object.fromEntries(
    CALLED_NAMES.map((name) => [urlVariable(name), [`where ${name} is`, "required"] as const]),
  ),
  WORKER_CONCURRENCY: ["orders worked on at a time", "128"],
  WORKER_RETRY_LIMIT_MS: [
    "how long a step is tried again before the order is a dead letter",
    "60000",
  ],
  RELAY_POLL_INTERVAL_MS: ["how often the outbox is looked at, though nobody rang", "2000"],
  RELAY_BATCH_ROWS_MAX: ["events that are taken in hand at a time", "100"],
  IDEMPOTENCY_KEYS_KEEP_HOURS: ["how long an `Idempotency-Key` is remembered", "24"],
  RESERVATIONS_KEEP_DAYS: [
    "how long a reservation is remembered: [what it guards](operations.md#what-has-an-end)",
    "30",
  ],
  CLEANUP_INTERVAL_MS: ["how often rows that are no longer needed are deleted", "300000"],
  EMAIL_DELAY_MS: ["how long a mail takes, at least and at most", "`50-200`"],
};

/** No variable of ours has such a value. */
const NONSENSE = "\u0001";

/** What a service has read, and under which names. */
function readBy(name: ServiceName): Set<string> {
  const names = new Set<string>();
  for (const more of WAYS) {
    const env = new Proxy(environmentOf(name, more), {
      get: (target, key: string) => {
        names.add(key);
        return target[key];
      },
    });
    load(name, env);
  }
  return names;
}

/** Some variables are looked at only where another asks for it. */
const WAYS: readonly Readonly<Record<string, string>>[] = [
  {},
  { KAFKA_SSL: "true" },
  { KAFKA_SASL_MECHANISM: "plain", KAFKA_SASL_USERNAME: "u", KAFKA_SASL_PASSWORD: "p" },
  {
    KAFKA_SASL_MECHANISM: "oauthbearer",
    KAFKA_SASL_USERNAME: "u",
    KAFKA_SASL_PASSWORD: "p",
    KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL: "https://auth.example/token",
  },
];

function environmentOf(
  name: ServiceName,
  more: Readonly<Record<string, string>>,
): Record<string, string> {
  return {
    ...neededBy(name, {
      postgres: () => "postgres://user:password@db:5432/orderflow",
      kafka: () => "kafka:9092",
      url: (other) => `http://${other}:${factsOf(other).port}`,
    }),
    ...more,
  };
}

function load(name: ServiceName, env: Env): unknown {
  return [loadServiceConfig(env, factsOf(name).port), loadFaults(env), LOADERS[name](env)];
}

/** @throws Error where a default that is told is not the one that the code has */
function checkDefault(name: ServiceName, variable: string, without: string): void {
  const [, value] = /^`(.+)`$|^(\d+)$/.exec(without)?.filter((part) => part !== undefined) ?? [];
  if (value === undefined) return;
  const env = environmentOf(name, {});
  const [unset, set] = [env, { ...env, [variable]: value }].map((one) =>
    JSON.stringify(load(name, one)),
  );
  if (unset !== set)
    throw new Error(`scripts/generate/config-docs.ts: ${variable} is not ${value} by default`);
}

/** @returns what the code says of a value that makes no sense: `must be an integer from 1 to 1000` */
function ruleOf(name: ServiceName, variable: string): string {
  for (const more of WAYS) {
    try {
      load(name, { ...environmentOf(name, more), [variable]: NONSENSE });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const [, rule] = new RegExp(`^${variable} (must .*)$`).exec(error.message) ?? [];
      if (rule !== undefined) return rule;
    }
  }
  return "";
}

/** @returns the whole text of docs/configuration.md */
export function configurationDocs(): string {
  const readers = new Map<string, ServiceName[]>();
  for (const name of SERVICE_NAMES) {
    for (const variable of readBy(name)) {
      readers.getOrInsertComputed(variable, () => []).push(name);
    }
  }
  const undescribed = [...readers.keys()].filter((variable) => !Object.hasOwn(WORDS, variable));
  const unread = Object.keys(WORDS).filter((variable) => !readers.has(variable));
  if (undescribed.length + unread.length > 0) {
    throw new Error(
      `scripts/generate/config-docs.ts: without words: ${undescribed.join(", ") || "none"}; read by no service: ${unread.join(", ") || "none"}`,
    );
  }
  const rows = Object.entries(WORDS).map(([variable, [what, without]]) => {
    const by = readers.get(variable) ?? [];
    for (const name of by) checkDefault(name, variable, without);
    const rule = by[0] ? ruleOf(by[0], variable) : "";
    return [
      `\`${variable}\``,
      by.length === SERVICE_NAMES.length ? "all" : by.join(", "),
      rule ? `${what}; ${rule}` : what,
      without,
    ];
  });
  return `# Configuration

<!-- Written by \`bun run generate\`, from the configuration code. -->

By environment variables, which are read once, at the start. A missing or malformed one stops it with one line
that names it. An empty variable is one that is not set. \`OTEL_*\` is as OpenTelemetry specifies it:
[telemetry](telemetry.md#variables).

## Services

${markdownTable(
  ["service", "port", "needs", "calls"],
  SERVICE_NAMES.map((name) => {
    const { port, postgres, kafka, calls } = factsOf(name);
    const needs = [...(postgres ? ["PostgreSQL"] : []), ...(kafka ? ["Kafka"] : [])];
    return [name, String(port), needs.join(", ") || "–", calls.join(", ") || "–"];
  }),
)}

## Variables

${markdownTable(["variable", "read by", "what it is, and must be", "without it"], rows)}

## Commands

${markdownTable(
  ["command", "variables"],
  [
    [
      "`bun run demo`, `dev`",
      `${PORT_VARIABLES.map((text) => `\`${text}\``).join(", ")}; \`PORTS=free\` for any free ones`,
    ],
    [
      "`bun run migrate`",
      "`POSTGRES_URL` or `POSTGRES_URL_FILE`, `MIGRATIONS_PATH=file://migrations`",
    ],
    ["`bun run dead-letters`", "`KAFKA_BROKERS` and its kin"],
    ["`bun run orders`", "`POSTGRES_URL`, `KAFKA_BROKERS` and their kin"],
    [
      "`bun run generate-traffic`",
      Object.entries(TRAFFIC_DEFAULTS)
        .map(([name, value]) => `\`${name}=${value}\``)
        .join(", "),
    ],
    [
      "`bun run test` and others",
      "`POSTGRES_URL`, `KAFKA_BROKERS`: servers that are for tests alone; `APACHE_KAFKA_LIBS`; `CHROMIUM`",
    ],
  ],
)}
`;
}
