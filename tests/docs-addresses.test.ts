/** The addresses in the documents, and the commands that need no `bun install`, are those that there are. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { OTLP_PORT, QUERY_PORT } from "#lib/embedded/traces/ports.ts";
import { FAULTS } from "#lib/service/faults.ts";
import { factsOf, SERVICE_NAMES } from "#lib/service/services.ts";
import packageJson from "../package.json" with { type: "json" };
import { openRepository } from "../scripts/check-docs/repository.ts";
import { readCompose } from "../scripts/check-stack/files.ts";
import { USUAL_PORTS as DEMO_PORTS } from "../scripts/demo/ports.ts";
import { USUAL_PORTS as VIEWER_OF_THE_CHAPTER } from "../scripts/tutorial/parts.ts";
import { sectionOf } from "./support/docs/sections.ts";
import { PROGRAM_PORTS } from "../scripts/tutorial/system/start-system.ts";

const repository = openRepository(join(import.meta.dir, ".."));
const pages = [...repository.files].filter((path) => path.endsWith(".md"));

const compose = await readCompose("docker-compose.yml");
const local = await readCompose("docker-compose.local.yml");
const [EXAMPLE_PORT = Number.NaN] = numbersIn(
  repository.read("lib/telemetry/examples/bun-serve.ts"),
  /\["PORT"\] \?\? (\d+)/g,
);
const [COMPOSE_PORTS, LOCAL_PORTS] = [compose, local].map((file) =>
  Object.fromEntries(
    Object.entries(file.services).flatMap(([name, { ports = [] }]) =>
      ports.map((port) => [name, Number(/:-(\d+)\}/.exec(port)?.[1])]),
    ),
  ),
) as [Record<string, number>, Record<string, number>];
const MIGRATIONS = [...repository.files].filter((path) => /^migrations\/.*\.up\.sql$/.test(path));

/** Who answers a path's first word on this machine. */
const PATHS: Readonly<Record<string, readonly number[]>> = {
  orders: portsOf("gateway", "orders"),
  "orders-nplus1": portsOf("gateway", "orders"),
  inventory: portsOf("gateway"),
  openapi: portsOf("gateway"),
  stock: portsOf("inventory"),
  send: portsOf("email"),
  faults: SERVICE_NAMES.map((name) => factsOf(name).port),
  trace: [QUERY_PORT],
  alerts: [COMPOSE_PORTS["prometheus"] as number],
  hello: [EXAMPLE_PORT],
};
/** What a page calls a thing beside its address, in the demo's output and in tables. */
const NAMES: Readonly<Record<string, number>> = {
  ...DEMO_PORTS,
  "trace store": DEMO_PORTS.jaeger,
  "Kafka broker": DEMO_PORTS.kafka,
  PostgreSQL: DEMO_PORTS.postgres,
  Jaeger: DEMO_PORTS.jaeger,
  Prometheus: COMPOSE_PORTS["prometheus"] as number,
  Grafana: COMPOSE_PORTS["grafana"] as number,
};

test("every address of this machine in the documents is that of what it is said to be", () => {
  expect(pages.length).toBeGreaterThan(20);
  const problems = pages.flatMap((path) =>
    wrongAddresses(path, repository.read(path)).map((said) => `${path}: ${said}`),
  );
  expect(problems).toEqual([]);
});

test.each([
  ["README.md", "POST http://localhost:8081/inventory"],
  ["README.md", "  trace store   http://localhost:4318"],
  ["README.md", "  Kafka broker  localhost:9092"],
  ["README.md", "the demo's is `localhost:9092`"],
  ["README.md", "| Grafana            | http://localhost:9090: order flow"],
  ["docs/faults.md", "`KAFKA_BROKERS=localhost:9092 bun run dead-letters list`"],
  ["docs/operations.md", "`KAFKA_BROKERS=localhost:19092 bun run dead-letters list`"],
  ["docs/viewer.md", "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317"],
  ["docs/viewer.md", "http://localhost:1234"],
  ["docs/tutorial/05-sql.md", "curl localhost:4010/orders"],
  ["docs/tutorial/05-sql.md", "http://localhost:4000/trace/1"],
  ["README.md", `  migrations    version ${MIGRATIONS.length + 1}`],
])("on %s, %s would be found wrong", (path, text) => {
  expect(wrongAddresses(path, text)).toHaveLength(1);
});

test.each(Object.entries(FAULTS))(
  "docs/faults.md switches %s off where it is",
  (name, { does }) => {
    const service = does.slice(0, does.indexOf(":")) as (typeof SERVICE_NAMES)[number];
    const section = sectionOf(repository.read("docs/faults.md"), name) ?? "";
    const off = /Off: `curl -X PUT localhost:(\d+)\/faults/.exec(section)?.[1];
    expect(Number(off)).toBe(factsOf(service).port);
  },
);

test("the picture in README.md has each service's port below its name", () => {
  const lines = repository.read("README.md").split("\n");
  for (const name of ["gateway", "orders", "inventory", "email", "worker"] as const) {
    const at = lines.findIndex((line) => new RegExp(`│ +${name} +│|┤ +${name} +│`).test(line));
    const column = lines[at]?.indexOf(name) ?? 0;
    const below = lines[at + 1]?.slice(column - 3, column + name.length + 3);
    expect([name, below]).toEqual([name, expect.stringContaining(`:${factsOf(name).port}`)]);
  }
});

test("README.md names the commands that install what they need", () => {
  const [, sentence = ""] =
    /comes first, but for ([^.]*), which do it themselves/s.exec(repository.read("README.md")) ??
    [];
  const named = new Set([...sentence.matchAll(/`([\w:]+)`/g)].map(([, name]) => name));
  // "all of `test` but `test:chaos`".
  const said = Object.keys(packageJson.scripts).filter((name) =>
    name.startsWith("test:") ? !named.has(name) : named.has(name),
  );
  const installing = Object.entries(packageJson.scripts)
    .filter(([, script]) => script.startsWith("bun install"))
    .map(([name]) => name);
  expect(said.sort()).toEqual(installing.sort());
});

/** Ports that a page has wrong, each with what stands around it. */
function wrongAddresses(path: string, text: string): string[] {
  const isChapter = path.startsWith("docs/tutorial/");
  const known: readonly number[] = isChapter
    ? [...Object.values(PROGRAM_PORTS), ...Object.values(VIEWER_OF_THE_CHAPTER)]
    : [
        ...Object.values(DEMO_PORTS),
        ...Object.values(COMPOSE_PORTS),
        ...Object.values(LOCAL_PORTS),
        EXAMPLE_PORT,
      ];
  const paths: typeof PATHS = isChapter
    ? {
        orders: [PROGRAM_PORTS.gateway, PROGRAM_PORTS.orders],
        trace: [VIEWER_OF_THE_CHAPTER.queryPort],
      }
    : PATHS;
  const wrong: string[] = [];
  const addresses = /([^\n]*?)localhost:(\d{4,5})(?:\/([\w-]+))?/g;
  for (const [said, before = "", digits, first = ""] of text.matchAll(addresses)) {
    const port = Number(digits);
    const isRight = [
      known.includes(port),
      paths[first]?.includes(port) ?? true,
      isChapter || (namedPort(path, before) ?? port) === port,
    ].every(Boolean);
    if (!isRight) wrong.push(said.trim());
  }
  for (const version of numbersIn(text, /\bmigrations +version (\d+)/g)) {
    if (version > MIGRATIONS.length) wrong.push(`version ${version}`);
  }
  return wrong;
}

/** The port that what stands before an address gives it. */
function namedPort(path: string, before: string): number | undefined {
  if (before.endsWith("OTEL_EXPORTER_OTLP_ENDPOINT=http://")) return OTLP_PORT;
  if (before.endsWith("the demo's is `")) return DEMO_PORTS.kafka;
  if (before.endsWith("KAFKA_BROKERS=")) {
    // The demo's where faults are tried, compose's where it is operated.
    if (path === "docs/faults.md") return DEMO_PORTS.kafka;
    if (path === "docs/operations.md") return LOCAL_PORTS["kafka"];
  }
  const [, name = ""] =
    /^(?:\| | {2})(\w+(?: \w+)?)(?:, \w+)? +(?:\| )?(?:http:\/\/)?$/.exec(before) ?? [];
  return NAMES[name];
}

function portsOf(...names: (typeof SERVICE_NAMES)[number][]): number[] {
  return names.map((name) => factsOf(name).port);
}

function numbersIn(text: string, pattern: RegExp): number[] {
  return [...text.matchAll(pattern)].map(([, digits]) => Number(digits));
}
