/**
 * Every address in the files of the Docker stack leads to something that listens there: what a container says of
 * another, of itself, and of this machine's ports.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { OTLP_PORT, QUERY_PORT } from "#lib/embedded/traces/ports.ts";
import { DEFAULT_ENDPOINT } from "#lib/telemetry/setup/endpoint.ts";
import { DEFAULT_PORTS } from "#lib/telemetry/sql/target.ts";
import { factsOf, SERVICE_NAMES } from "#lib/service/services.ts";
import {
  COLLECTOR_FOLDER,
  COMPOSE_FILES,
  JAEGER_FOLDER,
  PROMETHEUS_FOLDER,
  readCompose,
  readText,
  readYaml,
} from "../scripts/check-stack/files.ts";

/** The ports that an image has where nothing of ours says another. */
const IMAGE_PORTS = {
  postgres: DEFAULT_PORTS["postgresql"] as number,
  prometheus: 9090,
  grafana: 3000,
};
const DATASOURCES = "observability/grafana/provisioning/datasources/datasources.yaml";

const compose = await readCompose("docker-compose.yml");
const local = await readCompose("docker-compose.local.yml");
const collector = (await readYaml(join(COLLECTOR_FOLDER, "config.yaml"))) as OtelConfig;
const jaeger = (await readYaml(join(JAEGER_FOLDER, "config.yaml"))) as OtelConfig;
const kafka = listenersOf(compose.services["kafka"]?.environment?.["KAFKA_LISTENERS"]);

/** Where each container listens to others. */
const LISTENING: Readonly<Record<string, readonly number[]>> = {
  ...Object.fromEntries(SERVICE_NAMES.map((name) => [name, [factsOf(name).port]])),
  ...Object.fromEntries(Object.entries(IMAGE_PORTS).map(([name, port]) => [name, [port]])),
  // Its controller is on localhost: it has nobody to talk to.
  kafka: [kafka["INTERNAL"], kafka["HOST"]].map(Number),
  "otel-collector": listening(collector),
  jaeger: listening(jaeger),
};

test("what is known to listen is what there is, and each has a port of its own", () => {
  const containers = Object.keys(compose.services).filter((name) => name !== "migrate");
  expect(Object.keys(LISTENING).sort()).toEqual(containers.sort());
  for (const [name, ports] of Object.entries(LISTENING)) {
    expect([name, ports.length > 0]).toEqual([name, true]);
    expect([name, new Set(ports).size]).toEqual([name, ports.length]);
  }
});

/** The files that name addresses; those of one container also name itself. */
const FILES: readonly (readonly [path: string, container?: string])[] = [
  ...COMPOSE_FILES.map((path) => [path] as const),
  [join(COLLECTOR_FOLDER, "config.yaml"), "otel-collector"],
  [join(JAEGER_FOLDER, "config.yaml"), "jaeger"],
  [join(PROMETHEUS_FOLDER, "prometheus.yml"), "prometheus"],
  [DATASOURCES, "grafana"],
];

describe.each(FILES)("%s", (path, container) => {
  test("names addresses at which something listens", async () => {
    expect(await strayAddresses(await readText(path), container)).toEqual([]);
  });
});

test.each([
  "http://jaeger:16687",
  "kafka:9093.",
  "http://otel-collector:4319/v1/traces",
  "postgres://a:b@postgres:5433/orders",
  "orders:8080",
])("%s would be found", async (text) => {
  expect(await strayAddresses(text)).toHaveLength(1);
});

describe("a container", () => {
  test("asks itself where it listens, at a path that answers", () => {
    for (const [name, { healthcheck, environment }] of Object.entries(compose.services)) {
      const asked = [healthcheck?.["test"] ?? []].flat().join(" ");
      const [, port] = /(?:localhost|127\.0\.0\.1):? ?(\d+)/.exec(asked) ?? [];
      if (port) expect([name, LISTENING[name]]).toEqual([name, expect.arrayContaining([+port])]);
      if (environment?.["SERVICE"] === undefined) continue;
      expect(asked).toContain('"http://127.0.0.1:" + process.env.PORT + "/readyz"');
    }
    const jaegerAsked = String(compose.services["jaeger"]?.healthcheck?.["test"]);
    expect(jaegerAsked).toContain(`:${portOf(jaeger.extensions?.["healthcheckv2"]?.http)}/status`);
    expect(compose.services["kafka"]?.healthcheck?.["test"]).toContain(String(kafka["INTERNAL"]));
  });

  test("publishes a port at which it listens", () => {
    let published = 0;
    for (const file of [compose, local]) {
      for (const [name, { ports = [] }] of Object.entries(file.services)) {
        for (const port of ports.map((one) => Number(one.split(":").at(-1)))) {
          published++;
          expect([name, LISTENING[name]]).toEqual([name, expect.arrayContaining([port])]);
        }
      }
    }
    expect(published).toBeGreaterThanOrEqual(7);
  });

  test("has a variable's one default wherever it is named", async () => {
    const texts = await Promise.all(COMPOSE_FILES.map(readText));
    const defaults = Map.groupBy(texts.join("\n").matchAll(/\$\{(\w+):-([^}]*)\}/g), ([, a]) => a);
    expect(defaults.size).toBeGreaterThan(10);
    for (const [name, found] of defaults) {
      expect([name, new Set(found.map(([, , value]) => value)).size]).toEqual([name, 1]);
    }
  });
});

test("OTLP goes to the listener of its protocol", () => {
  const anchors = compose.services["orders"]?.environment ?? {};
  expect(anchors["OTEL_EXPORTER_OTLP_ENDPOINT"]).toBe(
    `http://otel-collector:${portOf(collector.receivers["otlp"]?.protocols.http)}`,
  );
  // `otlp` exporters speak gRPC, `otlphttp` is the other.
  expect(collector.exporters["otlp/jaeger"]?.endpoint).toBe(
    `jaeger:${portOf(jaeger.receivers["otlp"]?.protocols.grpc)}`,
  );
});

test("Kafka is advertised where it listens, inside and on this machine", () => {
  const advertised = String(compose.services["kafka"]?.environment?.["KAFKA_ADVERTISED_LISTENERS"]);
  const [mapping = ""] = local.services["kafka"]?.ports ?? [];
  const [, hostPort, containerPort] = /^127\.0\.0\.1:(\$\{.*\}):(\d+)$/.exec(mapping) ?? [];
  expect(Number(containerPort)).toBe(kafka["HOST"] as number);
  expect(advertised).toBe(`INTERNAL://kafka:${kafka["INTERNAL"]},HOST://localhost:${hostPort}`);
  const controller = String(
    compose.services["kafka"]?.environment?.["KAFKA_CONTROLLER_QUORUM_VOTERS"],
  );
  expect(controller).toBe(`1@localhost:${kafka["CONTROLLER"]}`);
});

test("Prometheus scrapes the metrics of each by name", async () => {
  const { scrape_configs } = (await readYaml(join(PROMETHEUS_FOLDER, "prometheus.yml"))) as {
    scrape_configs: { job_name: string; static_configs?: { targets: string[] }[] }[];
  };
  const targets = scrape_configs.flatMap(({ job_name, static_configs = [] }) =>
    static_configs.flatMap((one) => one.targets.map((target) => [job_name, target])),
  );
  expect(targets).toEqual([
    ["spans", `otel-collector:${portOf(collector.exporters["prometheus"])}`],
    ["otel-collector", `otel-collector:${ownMetricsPort(collector)}`],
    ["jaeger", `jaeger:${ownMetricsPort(jaeger)}`],
    ["prometheus", `localhost:${IMAGE_PORTS.prometheus}`],
  ]);
});

test("what runs on this machine finds the stack at the ports that it has here", async () => {
  const hostPort = (name: string) => {
    const [mapping = ""] = (local.services[name] ?? compose.services[name])?.ports ?? [];
    return Number(/:-(\d+)\}/.exec(mapping)?.[1]);
  };
  expect(hostPort("otel-collector")).toBe(OTLP_PORT);
  expect(hostPort("jaeger")).toBe(QUERY_PORT);
  expect(DEFAULT_ENDPOINT).toBe(`http://localhost:${OTLP_PORT}`);
  const makefile = await readText("Makefile");
  const [url] = /postgres:\/\/\S+/.exec(makefile) ?? [];
  const inStack = String(compose.services["orders"]?.environment?.["POSTGRES_URL"]);
  expect(url).toBe(
    inStack
      .replace(/\$\{\w+:-([^}]*)\}/, "$1")
      .replace(/@.*\//, `@localhost:${hostPort("postgres")}/`),
  );
  expect(makefile).toContain(`KAFKA_BROKERS ?= localhost:${hostPort("kafka")}\n`);
  // A link in a browser, so a host port; Grafana has it in its environment.
  const link = `http://localhost:$JAEGER_PORT/`;
  expect(await readText(DATASOURCES)).toContain(link);
  expect(compose.services["jaeger"]?.ports).toEqual([
    `127.0.0.1:${compose.services["grafana"]?.environment?.["JAEGER_PORT"]}:${QUERY_PORT}`,
  ]);
});

/** Addresses of containers at which nothing listens. */
async function strayAddresses(text: string, container = ""): Promise<string[]> {
  const names = [...Object.keys(LISTENING), ...(container ? ["localhost"] : [])];
  const pattern = new RegExp(`(?<![\\w-])(${names.join("|")}):(\\d{3,5})\\b`, "g");
  return [...text.matchAll(pattern)]
    .filter(([, name = "", port]) => {
      const host = name === "localhost" ? container : name;
      return !LISTENING[host]?.includes(Number(port));
    })
    .map(([address]) => address);
}

/** What the Collector and Jaeger, which is built on it, are configured by. */
interface OtelConfig {
  readonly receivers: Record<string, { protocols: Record<string, Listener> }>;
  readonly exporters: Record<string, Listener | null>;
  readonly extensions?: Record<string, Record<string, Listener>>;
  readonly service: {
    telemetry: { metrics: { readers: { pull: { exporter: { prometheus: { port: number } } } }[] } };
  };
}

interface Listener {
  readonly endpoint?: string;
}

/** All ports of such a configuration; of its exporters only the one that listens, which is Prometheus's. */
function listening(config: OtelConfig): number[] {
  const listeners = [
    ...Object.values(config.receivers).flatMap(({ protocols }) => Object.values(protocols)),
    ...Object.values(config.extensions ?? {}).flatMap((one) => [one["http"], one["grpc"]]),
    config.exporters["prometheus"],
  ];
  const ports = listeners.filter((one) => one?.endpoint).map(portOf);
  return [...ports, ownMetricsPort(config)];
}

function portOf(listener: Listener | null | undefined): number {
  return Number(/:(\d+)$/.exec(listener?.endpoint ?? "")?.[1]);
}

function ownMetricsPort({ service }: OtelConfig): number {
  return Number(service.telemetry.metrics.readers[0]?.pull.exporter.prometheus.port);
}

/** Kafka's `NAME://HOST:PORT,…`. */
function listenersOf(text: unknown): Record<string, number> {
  const found = String(text).matchAll(/(\w+):\/\/[\w.]*:(\d+)/g);
  return Object.fromEntries([...found].map(([, name = "", port]) => [name, Number(port)]));
}
