/** What the documents name in code is there: functions, messages, options, tests, routes, packages, folders. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { FAULTS } from "#lib/service/faults.ts";
import { ORDER_SERVICES } from "#lib/service/services.ts";
import packageJson from "../package.json" with { type: "json" };
import { openRepository, repositoryOf } from "../scripts/check-docs/repository.ts";
import { STAGES } from "../scripts/tutorial/stages.ts";
import { described } from "../services/gateway/openapi.ts";
import { publishedAttributes, publishedMetrics } from "./support/conventions/published-names.ts";
import { brokenOptions } from "./support/docs/command-options.ts";
import { brokenArrows } from "./support/docs/house.ts";
import { misplacedNames } from "./support/docs/linked-names.ts";
import { inlineCodeOf, knownCode, unknownParts } from "./support/docs/named-code.ts";
import { sectionOf, Table } from "./support/docs/sections.ts";

const repository = openRepository(join(import.meta.dir, ".."));
const pages = [...repository.files].filter((path) => path.endsWith(".md"));
/** These say what the pages say: they would prove anything. */
const isAboutPages = (path: string) => /^tests\/(?:docs[-.]|support\/docs\/)/.test(path);

/** Names of others, by whose they are. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  Bun: ["BUN_CONFIG_DNS_TIME_TO_LIVE_SECONDS", "NODE_EXTRA_CA_CERTS", "Module.prototype.require"],
  kafkajs: ["SaslAuthenticate", "withBroker"],
  Kafka: ["offsets.retention.minutes"],
  PgBouncer: ["max_client_conn"],
  Kubernetes: ["metrics.k8s.io"],
  "OpenTelemetry, not honoured here or read by its SDK": [
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    "lowmemory",
    "OTEL_METRICS_EXEMPLAR_FILTER",
    "OTEL_EXPORTER_PROMETHEUS_*",
    "OTEL_CONFIG_FILE",
    "OTEL_SEMCONV_STABILITY_OPT_IN",
    "network.peer.*",
  ],
  "instrumentations of others": [
    "request handler",
    "request handler - /items/:id",
    "middleware - patched",
    "handler - …",
    "http.request.id",
    "tcp.connect",
  ],
  "what PostgreSQL says": [
    "query_canceled (57014): canceling statement due to statement timeout",
    "EXPLAIN (ANALYZE, COSTS OFF)",
  ],
  "a table that there is not": [
    "order_created_at",
    "(order_id, order_created_at)",
    "created_at BETWEEN time of id − 1 s AND time of id + 1 s",
  ],
  "what a reader writes, or sees": [
    "type(area): what changes",
    '"trace_id":"(\\w+)"',
    '"trace_flags":"00"',
    '"http.route": undefined',
    'carrier["traceparent"]',
    "https://user:password@…",
    "?access_token=…",
    "0x001",
    "sql.begin(async (tx) => work(traceSql(tx)))",
    "await processRecord({ topic, partition, message }, GROUP, (span) => handle(message, span));",
    "… CROSS JOIN pg_sleep(?) …",
  ],
};
const foreign = new Set(Object.values(FOREIGN).flat());
const isForeign = (name: string) =>
  foreign.has(name) || publishedAttributes.has(name) || publishedMetrics.has(name);

describe("a name in code", () => {
  test("is one of the project's, or known to be another's", () => {
    const known = knownCode(repository, isAboutPages);
    // All of this one is written by a command, and held to the code by a test.
    const written = pages.filter((path) => path !== "docs/configuration.md");
    const codes = written.flatMap((path) =>
      inlineCodeOf(repository.read(path)).map((code) => ({ path, ...code })),
    );
    expect(codes.length).toBeGreaterThan(1_500);
    const unknown = codes.flatMap(({ path, text, line }) =>
      unknownParts(text, known, isForeign).map(
        (part) => `${path}:${line}: \`${text}\`: no ${part}`,
      ),
    );
    expect(unknown).toEqual([]);
    // One that has gone from the pages, or come to the project, excuses nothing any more.
    const said = new Set(codes.map(({ text }) => text));
    expect([...foreign].filter((name) => !said.has(name))).toEqual([]);
  });

  const files: Readonly<Record<string, string>> = {
    "lib/span.ts": 'export function inSpan() {}\nthrow new Error("the caller\'s time is over");',
    "services/app.ts":
      'app.get("/orders/:id", read); const LIMIT_MS = 5;\nlogger.warn("it is\n  late");',
  };
  const known = knownCode(
    repositoryOf(Object.keys(files), (path) => files[path]!),
    isAboutPages,
  );

  test.each([
    "inSpan",
    "inSpan()",
    "LIMIT_MS",
    "LIMIT_MS=5",
    "the caller's time is over",
    "the caller's … over",
    "it is late",
    "GET /orders/{id}",
    "bun run demo",
    "lib/none.ts",
    "http.route",
  ])("`%s` is fine", (code) => {
    expect(unknownParts(code, known, isForeign)).toEqual([]);
  });

  test.each([
    ["outSpan", "outSpan"],
    ["inSpan(name)", "name"],
    ["outSpan(inSpan)", "outSpan("],
    ["LIMIT_S=5", "LIMIT_S"],
    ["the caller's time is up", "the caller's time is up"],
    ["the caller's … up", "up"],
    ["GET /orders/{order}", "/orders/:order"],
  ])("`%s` is found", (code, part) => {
    expect(unknownParts(code, known, isForeign)).toContain(part);
  });
});

describe("an option of a command", () => {
  test("is one that the command knows", () => {
    const broken = pages.flatMap((path) =>
      brokenOptions(repository.read(path), repository).map((problem) => `${path}: ${problem}`),
    );
    expect(broken).toEqual([]);
  });

  const files: Readonly<Record<string, string>> = {
    "package.json":
      '{"scripts": {"demo": "bun scripts/demo.ts", "bench": "bun scripts/bench/index.ts"}}',
    "scripts/demo.ts": 'import "./demo/more.ts"; const options = { once: { type: "boolean" } };',
    "scripts/demo/more.ts": 'args.includes("--json")',
    "scripts/bench/index.ts": 'readFlags(args, ["rounds"])',
  };
  const problemsOf = (text: string) =>
    brokenOptions(
      text,
      repositoryOf(Object.keys(files), (path) => files[path]!),
    );

  test.each([
    "`bun run demo --once --json`",
    "```sh\nnpx -y bun@1.4.5 run demo --once # --none\n```",
    "`bun scripts/demo.ts --once`",
    "`bun run bench flow --rounds 5`",
    "`bun test --parallel=4 lib`",
    "`kubectl get --none`",
    "`--once`: alone",
  ])("%s is fine", (text) => {
    expect(problemsOf(text)).toEqual([]);
  });

  test.each([
    ["`bun run demo --twice`", "bun run demo --twice"],
    ["```sh\nbun run bench flow --round 5\n```", "bun run bench --round"],
    ["`bun scripts/demo.ts --rounds 3`", "bun scripts/demo.ts --rounds"],
    ["`--twice`: alone", "--twice"],
  ])("%s is found", (text, problem) => {
    expect(problemsOf(text)).toEqual([problem]);
  });
});

test("the features of docs/viewer.md name tests that are there", () => {
  const table = new Table(sectionOf(repository.read("docs/viewer.md"), "beside-others") ?? "");
  const tests = ["viewer", "viewer-flow"].map((name) =>
    repository.read(`tests/slow/${name}.test.ts`),
  );
  const named = table.rows.flatMap(([, tested = ""]) =>
    [...tested.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => name),
  );
  expect(named.length).toBeGreaterThan(20);
  const isThere = (name: string) =>
    tests.some((text) => text.includes(`"${name.endsWith("…") ? name.slice(0, -1) : `${name}"`}`));
  expect(named.filter((name) => !isThere(name))).toEqual([]);
  expect(isThere("is a flame graph")).toBe(false);
});

test("the lines of docs/chaos.md are those of its table, and its victims those that there are", () => {
  const page = repository.read("docs/chaos.md");
  const sources = [...repository.files]
    .filter((path) => /^scripts\/chaos\/(?:[\w-]+-checks|readiness|run)\.ts$/.test(path))
    .map((path) => repository.read(path));
  const has = (name: string) => sources.some((text) => text.includes(`"${name}"`));
  const lines = new Table(sectionOf(page, "what-is-promised-and-how-it-is-checked") ?? "").rows;
  expect(lines.length).toBeGreaterThan(15);
  expect(lines.map(([name = ""]) => name).filter((name) => !has(name))).toEqual([]);
  expect(has("every order is settled")).toBe(false);
  const victims = repository.read("scripts/chaos/kafka-cluster.ts").matchAll(/name: "([^"]+)"/g);
  const told = new Table(sectionOf(page, "a-cluster") ?? "").rows.map(([name]) => name);
  expect(told).toEqual([...victims].map(([, name]) => `\`${name}\``));
});

test("docs/faults.md has each fault, with its service and its constant", () => {
  const rows = new Table(repository.read("docs/faults.md")).rows;
  const told = rows.map(([fault = "", service]) => [/`(.*?)`/.exec(fault)?.[1], service]);
  expect(told).toEqual(
    Object.entries(FAULTS).map(([name, { does }]) => [name, does.slice(0, does.indexOf(":"))]),
  );
});

describe("the packages of docs/architecture.md", () => {
  const rows = new Table(sectionOf(repository.read("docs/architecture.md"), "packages") ?? "").rows;
  const told = rows
    .map(([names = ""]) => names)
    // What is in a folder of its own has a lockfile of its own.
    .filter((names) => !names.includes("(in `"))
    .flatMap((names) =>
      namesOf(names).map((name) => [name, names.includes("(development)")] as const),
    );

  test("are those of package.json, each where it says", () => {
    const wanted = [
      ...Object.keys(packageJson.dependencies).map((name) => [name, false] as const),
      ...Object.keys(packageJson.devDependencies).map((name) => [name, true] as const),
    ];
    expect(Object.fromEntries(told)).toEqual(Object.fromEntries(wanted));
    expect(told).toHaveLength(wanted.length);
  });

  test.each([
    ["`diff`, `hono`", ["diff", "hono"]],
    ["`@o/api`, `core`", ["@o/api", "@o/core"]],
    ["`@o/exporter-{trace,logs}-otlp`", ["@o/exporter-trace-otlp", "@o/exporter-logs-otlp"]],
    [
      "`@o/instrumentation`, `instrumentation-http`, `-undici`",
      ["@o/instrumentation", "@o/instrumentation-http", "@o/instrumentation-undici"],
    ],
    ["`@o/openapi`, `swagger-ui-dist`", ["@o/openapi", "swagger-ui-dist"]],
  ])("%s are %p", (written, names) => {
    expect(namesOf(written)).toEqual(names);
  });
});

/** @returns the packages of a cell, where a scope or a beginning is written once */
function namesOf(cell: string): string[] {
  let scope = "";
  let first = "";
  return [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, written = ""]) => {
    const [, own = ""] = /^(@[^/]+\/)/.exec(written) ?? [];
    scope = own || scope;
    const isWhole =
      own !== "" || written in packageJson.dependencies || written in packageJson.devDependencies;
    const full = written.startsWith("-") ? first + written : isWhole ? written : scope + written;
    if (!written.startsWith("-")) [first = ""] = full.split(/(?<=instrumentation)-/);
    const [, before = "", inner, after = ""] = /^(.*)\{(.*)\}(.*)$/.exec(full) ?? [];
    return inner === undefined ? [full] : inner.split(",").map((part) => before + part + after);
  });
}

test("README.md and docs/architecture.md tell of every folder in lib/, and of no other", () => {
  const folders = [...repository.folders].filter((path) => /^lib\/[\w-]+$/.test(path));
  expect(folders.length).toBeGreaterThan(5);
  const house = sectionOf(repository.read("docs/architecture.md"), "the-house") ?? "";
  const [, fence = ""] = /```\n(.*?)```/s.exec(house) ?? [];
  const inside = [...fence.matchAll(/^ {2}([\w-]+)\/ /gm)].map(([, name]) => `lib/${name}`);
  expect(inside.sort()).toEqual(folders.sort());
  const readme = [...repository.read("README.md").matchAll(/^\| `(lib\/[\w-]+)\/`/gm)];
  expect(readme.map(([, name]) => name).sort()).toEqual(folders.sort());
});

const brokenBy = (path: string, text: string) =>
  brokenArrows(repositoryOf([path], () => text)).length;

describe("the arrows of docs/architecture.md", () => {
  test("point one way", () => {
    expect(brokenArrows(repository)).toEqual([]);
  });

  test.each([
    ["services/orders/app.ts", 'import { x } from "#lib/kafka/topics.ts";'],
    ["services/orders/app.ts", 'import { x } from "./relay.ts";'],
    ["lib/service/app.ts", 'import { suppressTracing } from "@opentelemetry/core";'],
    ["lib/service/app.ts", 'import { trace } from "@opentelemetry/api";'],
    ["lib/embedded/services.ts", 'import { x } from "./postgres.ts";'],
    ["lib/service/app.test.ts", 'import { x } from "#lib/embedded/postgres.ts";'],
  ])("%s: %s is fine", (path, text) => {
    expect(brokenBy(path, text)).toBe(0);
  });

  test.each([
    ["services/orders/app.ts", 'import { x } from "../inventory/stock.ts";'],
    ["lib/kafka/topics.ts", 'import { x } from "../../services/orders/relay.ts";'],
    ["lib/service/app.ts", 'import { x } from "#lib/kafka/topics.ts";'],
    ["lib/orders/order.ts", 'import { x } from "../kafka/topics.ts";'],
    ["lib/telemetry/span.ts", 'import { x } from "#lib/waiting/waiting.ts";'],
    ["services/orders/relay.ts", 'import type { Kafka } from "kafkajs";'],
    ["lib/service/app.ts", 'import { x } from "#lib/embedded/postgres.ts";'],
    ["lib/service/app.ts", 'import { context, suppressTracing } from "@opentelemetry/core";'],
    ["services/orders/app.ts", 'import { x } from "@opentelemetry/sdk-metrics";'],
    ["lib/telemetry/span.ts", 'import { x } from "#lib/orders/order.ts";'],
    ["lib/orders/order.ts", 'import { readFile } from "node:fs/promises";'],
    ["lib/waiting/slots.ts", 'const { SQL } = await import("bun");'],
  ])("%s: %s is found", (path, text) => {
    expect(brokenBy(path, text)).toBe(1);
  });
});

describe("a function beside a link to its file", () => {
  test("is in that file", () => {
    const misplaced = pages.flatMap((path) => misplacedNames(path, repository, isForeign));
    expect(misplaced).toEqual([]);
  });

  test("that is in none of the linked files is found", () => {
    const files: Readonly<Record<string, string>> = {
      "lib/span.ts": "export function inSpan() {}",
      "docs/page.md": "- [`span.ts`](../lib/span.ts): `inSpan`, and `failSpan`.\n\n`noLink` here.",
    };
    const small = repositoryOf(Object.keys(files), (path) => files[path]!);
    expect(misplacedNames("docs/page.md", small, isForeign)).toEqual(["docs/page.md: failSpan"]);
  });
});

test("what docs/architecture.md tells of kafkajs is where it says", () => {
  const section = sectionOf(
    repository.read("docs/architecture.md"),
    "kafkajs-what-we-trust-and-what-we-guard",
  );
  const places = new Table(section ?? "").rows.map(([, where = ""]) =>
    [...where.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code),
  );
  expect(places.length).toBeGreaterThan(5);
  expect(places.flatMap(missingInKafkajs)).toEqual([]);
  expect(missingInKafkajs(["network/connection.js", "onNothing"])).toEqual(["onNothing"]);
  expect(missingInKafkajs(["network/none.js"])).toEqual(["network/none.js"]);
});

/** @returns paths of its `src/` that are not there, and names that none of the files before them has */
function missingInKafkajs(codes: readonly string[]): string[] {
  const source = join(import.meta.dir, "../node_modules/kafkajs/src");
  let text = "";
  return codes.filter((code) => {
    if (!/[/.]/.test(code)) return !text.includes(code);
    const path = [code, `${code}.js`, `${code}/index.js`]
      .map((name) => join(source, name))
      .find((name) => existsSync(name) && statSync(name).isFile());
    if (path !== undefined) text += readFileSync(path, "utf8");
    return path === undefined;
  });
}

/** Method and path of each route of a file. */
const routesIn = (path: string) =>
  [...repository.read(path).matchAll(/\.(get|post|patch|put)\(\s*"(\/[^"]*)"/g)].map(
    ([, method = "", route]) => `${method.toUpperCase()} ${route}`,
  );
/** Of a row: each path by itself, also the second of `/a/{id}/reserve`, `/release`. */
const toldIn = (request: string) => {
  let [method, path] = ["", ""];
  return [...request.matchAll(/`(?:([A-Z]+) )?(\/[^`? ]*)[^`]*`/g)].map(
    ([, verb, written = ""]) => {
      method = verb ?? method;
      const isEnd = !verb && written.split("/").length === 2 && path.split("/").length > 3;
      path = isEnd ? path.replace(/\/[^/]*$/, written) : written;
      return `${method} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`;
    },
  );
};

describe("the API in README.md", () => {
  const rows = new Table(sectionOf(repository.read("README.md"), "api") ?? "").rows;
  test.each([...ORDER_SERVICES, "all"])("has the routes of %s, and no other", (service) => {
    const told = rows
      .filter(([where = ""]) => where.split(", ").includes(service))
      .flatMap(([, request = ""]) => toldIn(request));
    const file = service === "all" ? "lib/service/app.ts" : `services/${service}/app.ts`;
    const ours = repository.files.has(file) ? routesIn(file) : [];
    // Elysia's plugin makes these.
    const plugin = service === "gateway" ? ["GET /openapi", "GET /openapi/json"] : [];
    expect(told.sort()).toEqual([...ours, ...plugin].sort());
  });

  test.each([
    ["POST /orders", "placeOrder"],
    ["GET /orders?", "listOrders"],
    ["GET /orders/{id}", "getOrder"],
    ["GET /inventory", "getStock"],
  ] as const)("says of %s which statuses its description has", (request, route) => {
    const [, , answers = ""] = rows.find(([, cell = ""]) => cell.startsWith(`\`${request}`)) ?? [];
    const statuses = answers.match(/\b[2-5]\d\d\b/g) ?? [];
    expect(statuses.length).toBeGreaterThan(0);
    const known = Object.keys(described(route).detail.responses ?? {});
    expect(statuses.filter((status) => !known.includes(status))).toEqual([]);
  });
});

test("the alerts and dashboards of docs/operations.md are those that there are", () => {
  const page = repository.read("docs/operations.md");
  const rules = repository
    .read("observability/prometheus/rules/alerts.yml")
    .matchAll(/alert: (\w+)/g);
  const told = new Table(sectionOf(page, "what-to-watch") ?? "").rows;
  const names = told.flatMap(([cell = ""]) => cell.match(/\w+/g) ?? []);
  expect(names.sort()).toEqual([...rules].map(([, name]) => name ?? "").sort());
  const dashboards = [...repository.files]
    .filter((path) => path.startsWith("observability/grafana/dashboards/"))
    .map((path) => repository.read(path));
  const [, listed = ""] = /\| Grafana +\| http:\S+: (.*?) \|/.exec(page) ?? [];
  const titles = dashboards.map((text) =>
    (JSON.parse(text) as { title: string }).title.toLowerCase(),
  );
  const listedNames = listed.trim().replace(" (home)", "").split(", ").sort();
  // "Services: rate, errors, duration" is called by its first word.
  expect(listedNames).toEqual(titles.map((title) => title.replace(/:.*/, "")).sort());
  // Panels that an alert sends its reader to.
  const panels = told.flatMap((cells) => cells.join(" ").match(/(?<=")[^"]+(?=")/g) ?? []);
  expect(panels.length).toBeGreaterThan(0);
  expect(panels.filter((name) => !dashboards.some((text) => text.includes(`"${name}"`)))).toEqual(
    [],
  );
});

describe("the chapter's stages", () => {
  const rows = new Table(sectionOf(repository.read("docs/tutorial/README.md"), "the-stages") ?? "")
    .rows;

  test("are told in their order, with what they add and the minutes that their pages give", () => {
    expect(
      rows.map(([link, adds = "", minutes]) => [link, adds.replaceAll("`", ""), minutes]),
    ).toEqual(
      STAGES.map(({ id, title, page, adds }) => {
        const [, minutes] = /^(\d+) minutes/m.exec(repository.read(`docs/tutorial/${page}`)) ?? [];
        return [`[${id === "end" ? title : `${id} ${title}`}](${page})`, adds, minutes ?? ""];
      }),
    );
  });
});
