/**
 * The layer as others take it: packed, installed into a clean project, and run; and as a folder that was
 * copied. The programs are those of lib/telemetry/examples.
 */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { startTraceStore, type TraceStore } from "#lib/embedded/traces/index.ts";
import layerJson from "../../lib/telemetry/package.json" with { type: "json" };
import packageJson from "../../package.json" with { type: "json" };
import { HAS_LEARNING } from "../support/learning.ts";
import {
  childrenOf,
  only,
  pathToRoot,
  spansIn,
  topmost,
  type TestSpan,
} from "../support/traces.ts";
import { until } from "../support/until.ts";

const LAYER = join(import.meta.dir, "../../lib/telemetry");
const EXAMPLES = join(LAYER, "examples");

setDefaultTimeout(180_000);

/** Without a network, only CI insists. */
const hasRegistry =
  Boolean(process.env["CI"]) ||
  (await command(LAYER, "pm", "view", "@opentelemetry/api").then(
    () => true,
    () => false,
  ));
const installedTest = test.skipIf(!hasRegistry);

let folder: string;
let tarball: string;
const undo: (() => unknown)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "orderflow-telemetry-package-"));
  await command(LAYER, "pm", "pack", "--destination", folder);
  const [name = ""] = await readdir(folder);
  tarball = join(folder, name);
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(async () => {
  for (const run of undo.splice(0).toReversed()) await run();
});

/** Runs Bun to its end. @throws Error with what it wrote where that is no success */
async function command(cwd: string, ...args: string[]): Promise<void> {
  const child = Bun.spawn([process.execPath, ...args], { cwd, stdout: "pipe", stderr: "pipe" });
  const output = Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) {
    throw new Error(`bun ${args.join(" ")}: ${(await output).join("\n")}`);
  }
}

/** A project of its own with the packed layer and an example as its `main.ts`. @returns its folder */
async function projectWith(example: string, packages: string[] = []): Promise<string> {
  const project = await newProject(basename(example, ".ts"), packages);
  await cp(join(EXAMPLES, example), join(project, "main.ts"));
  return project;
}

async function newProject(name: string, packages: string[] = []): Promise<string> {
  const project = join(folder, name);
  await mkdir(project);
  await Bun.write(join(project, "package.json"), JSON.stringify({ name: "mine", private: true }));
  await command(project, "add", "--exact", tarball, ...packages.map(withVersion));
  return project;
}

/** In the version that is tested everywhere else. */
function withVersion(name: string): string {
  const versions: Record<string, string> = {
    ...packageJson.dependencies,
    ...packageJson.devDependencies,
  };
  return `${name}@${versions[name]}`;
}

async function traceStore(): Promise<TraceStore> {
  const store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
  undo.push(() => store.stop());
  return store;
}

/** Starts a project's program; it exports to `store`. */
function start(project: string, store: TraceStore, env: Record<string, string> = {}) {
  const child = Bun.spawn([process.execPath, "main.ts"], {
    cwd: project,
    env: {
      PATH: process.env["PATH"] ?? "",
      OTEL_EXPORTER_OTLP_ENDPOINT: store.otlpUrl,
      OTEL_BSP_SCHEDULE_DELAY: "20",
      ORDERFLOW_CODE_LOCATION: "on",
      ...env,
    },
    stdout: "pipe",
    stderr: "inherit",
  });
  undo.push(() => child.kill("SIGKILL"));
  let stdout = "";
  const read = (async () => {
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) stdout += text;
  })();
  return {
    exited: child.exited,
    /** All that it wrote. */
    output: async () => read.then(() => stdout),
    /** Where it listens: the first URL that it writes. */
    url: () => until("the example listens", () => /http:\/\/\S+:\d+/.exec(stdout)?.[0], 30_000),
    stop: async () => {
      child.kill("SIGTERM");
      return await child.exited;
    },
  };
}

/** The one trace that a store comes to hold, once it is as `isWhole` wants it. */
async function traceIn(
  store: TraceStore,
  isWhole: (spans: TestSpan[]) => boolean,
): Promise<TestSpan[]> {
  return await until("the example's trace is whole", () => {
    const traces = store.traces().map(({ traceId }) => spansIn(store, traceId));
    return traces.find(isWhole);
  });
}

/** Where a span says that it was made; checked against the line's text. */
async function codeOf(project: string, span: TestSpan): Promise<string> {
  const path = String(span.attributes["code.file.path"]);
  const text = await Bun.file(join(project, path)).text();
  return text.split("\n")[Number(span.attributes["code.line.number"]) - 1]?.trim() ?? "";
}

/** Each span's name → the source line that it must point to. */
async function expectCode(project: string, spans: TestSpan[], lines: Record<string, string>) {
  if (!HAS_LEARNING) return;
  for (const [name, line] of Object.entries(lines)) {
    const span = spans.find((other) => other.name === name && other.attributes["code.file.path"]);
    expect(span?.attributes["code.file.path"], name).toBe("main.ts");
    expect(await codeOf(project, span as TestSpan), name).toContain(line);
  }
}

installedTest(
  "installed (needs the package registry), a script: its steps are one trace; no framework is installed, no test and no example",
  async () => {
    const project = await projectWith("script.ts");
    const folderOfLayer = join(project, "node_modules/@orderflow/telemetry");
    const files = await readdir(folderOfLayer, { recursive: true });
    expect(files).toContain("index.ts");
    expect(files).toContain("LICENSE");
    expect(files.filter((file) => /\.test\.ts$|^examples|^testing/.test(file))).toEqual([]);
    for (const framework of ["elysia", "hono"]) {
      expect(existsSync(join(project, "node_modules", framework)), framework).toBe(false);
    }
    await checkScript(project);
  },
);

installedTest(
  "installed (needs the package registry), the README's example runs as it stands there, and is one trace",
  async () => {
    const readme = await Bun.file(join(LAYER, "README.md")).text();
    const [, example = ""] = /^```ts\n(.*?)^```$/ms.exec(readme) ?? [];
    const project = await newProject("readme");
    await Bun.write(join(project, "main.ts"), example);
    const store = await traceStore();
    const program = start(project, store, { PORT: "0" });
    expect(await (await fetch(`${await program.url()}/hello/you`)).text()).toBe("Hello YOU!\n");
    const spans = await traceIn(store, (all) => all.length === 4);
    expect(topmost(spans).map(({ name }) => name)).toEqual(["GET /hello/:name"]);
    expect(spans.map(({ name }) => name).sort()).toEqual([
      "GET",
      "GET /hello/:name",
      "GET /mark",
      "look up",
    ]);
    expect(await program.stop()).toBe(0);
  },
);

installedTest(
  "installed (needs the package registry), Bun.serve: a request, a step and a call out are one trace; a thrown error is on its span",
  async () => {
    const project = await projectWith("bun-serve.ts");
    await checkBunServe(project);
  },
);

installedTest(
  "installed (needs the package registry), Elysia with SQL: request, transaction and statements are one trace",
  async () => {
    const project = await projectWith("elysia-sql.ts", ["elysia"]);
    const store = await traceStore();
    const program = start(project, store, { PORT: "0" });
    const url = `${await program.url()}/notes/7`;
    const kept = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ text: "buy milk" }),
    });
    expect(await kept.text()).toBe("kept");
    const spans = await traceIn(store, (all) => all.length === 4);
    const request = only(spans, "notes", "POST /notes/:id");
    expect(request).toMatchObject({ kind: "server", parentId: undefined, status: "unset" });
    expect(childrenOf(spans, request).map(({ name }) => name)).toEqual(
      expect.arrayContaining(["BEGIN", "INSERT notes", "COMMIT"]),
    );
    const insert = only(spans, "notes", "INSERT notes");
    expect(insert.attributes).toMatchObject({ "db.system.name": "sqlite" });
    expect(JSON.stringify(spans)).not.toContain("buy milk");
    await expectCode(project, spans, {
      "POST /notes/:id": ".post(",
      "INSERT notes": "await tx`INSERT INTO notes",
    });

    expect(await (await fetch(url)).json()).toEqual({ id: 7, text: "buy milk" });
    const read = await traceIn(store, (all) => all.some(({ name }) => name === "SELECT notes"));
    expect(pathToRoot(read, only(read, "notes", "SELECT notes"))).toEqual([
      "notes SELECT notes",
      "notes GET /notes/:id",
    ]);
    await expectCode(project, read, { "SELECT notes": "await sql`SELECT * FROM notes" });
    const made = await traceIn(store, (all) => all[0]?.name === "CREATE TABLE notes");
    expect(made).toHaveLength(1);
    expect(await program.stop()).toBe(0);
  },
);

installedTest(
  "installed (needs the package registry), Hono with Kafka: request, record and its handling are one trace",
  async () => {
    const project = await projectWith("hono-kafka.ts", ["hono", "kafkajs"]);
    const store = await traceStore();
    const broker = await startKafkaBroker();
    undo.push(() => broker.stop());
    const program = start(project, store, { PORT: "0", KAFKA_BROKERS: broker.brokers });
    const answer = await fetch(`${await program.url()}/users/ann`, { method: "POST" });
    expect(answer.status).toBe(201);
    const spans = await traceIn(store, (all) => all.length === 4);
    const request = only(spans, "signups", "POST /users/:name");
    expect(request).toMatchObject({ kind: "server", parentId: undefined, status: "unset" });
    const send = only(spans, "signups", "send user.signed-up");
    expect(send).toMatchObject({ kind: "producer", parentId: request.spanId });
    expect(send.attributes["kafka.message.key"]).toBe("ann");
    const process = only(spans, "signups", "process user.signed-up");
    expect(process).toMatchObject({ kind: "consumer", parentId: send.spanId });
    expect(process.links).toEqual([{ traceId: send.traceId, spanId: send.spanId }]);
    const mail = only(spans, "signups", "write welcome mail");
    expect(mail.parentId).toBe(process.spanId);
    await expectCode(project, spans, {
      "POST /users/:name": 'app.post("/users/:name"',
      "send user.signed-up": "await tracePublish(topic, key",
      "process user.signed-up": "await traceProcess(record",
      "write welcome mail": 'await inSpan("write welcome mail"',
    });
    expect(await program.stop()).toBe(0);
  },
);

describe.skipIf(!hasRegistry)("copied under another name (needs the package registry)", () => {
  test("Bun.serve: a request, a step and a call out are one trace", async () => {
    await checkBunServe(await copiedProject("bun-serve.ts", "src/watching"));
  });

  test("a script's steps are one trace", async () => {
    const project = await copiedProject("script.ts", "src/watching");
    await checkScript(project);
  });

  test("it may be imported by the package's name as well", async () => {
    const project = await copiedProject("script.ts", "src/by-name");
    await Bun.write(join(project, "main.ts"), Bun.file(join(EXAMPLES, "script.ts")));
    await checkScript(project);
  });
});

/** A project that took the folder, as the README says: no package of that name is installed. */
async function copiedProject(example: string, place: string): Promise<string> {
  const project = join(folder, `copied-${basename(example, ".ts")}-${basename(place)}`);
  await cp(LAYER, join(project, place), { recursive: true });
  await Bun.write(join(project, "package.json"), JSON.stringify({ name: "mine", private: true }));
  const dependency = "dependencies.@orderflow/telemetry=workspace:*";
  await command(project, "pm", "pkg", "set", `workspaces[]=${place}`, dependency);
  await command(project, "install");
  const source = await Bun.file(join(EXAMPLES, example)).text();
  const entries: Record<string, { default: string } | string> = layerJson.exports;
  const byPath = source.replace(/"@orderflow\/telemetry([^"]*)"/g, (_, entry: string) => {
    const target = entries[`.${entry}`];
    if (typeof target !== "object") throw new Error(`there is no entry ${entry}`);
    return `"./${join(place, target.default)}"`;
  });
  await Bun.write(join(project, "main.ts"), byPath);
  return project;
}

async function checkScript(project: string): Promise<void> {
  const store = await traceStore();
  const program = start(project, store);
  expect(await program.exited).toBe(0);
  const spans = await traceIn(store, (all) => all.length === 3);
  const root = only(spans, "price-import", "import prices");
  expect(topmost(spans)).toEqual([root]);
  expect(
    childrenOf(spans, root)
      .map(({ name }) => name)
      .sort(),
  ).toEqual(["add prices", "read prices"]);
  expect(only(spans, "price-import", "add prices").attributes["app.prices.total"]).toBe(16);
  const line = JSON.parse((await program.output()).trim()) as Record<string, unknown>;
  expect(line).toMatchObject({ message: "prices imported", trace_id: root.traceId });
  await expectCode(project, spans, {
    "import prices": 'await inSpan("import prices"',
    "read prices": 'await inSpan("read prices"',
    "add prices": 'await inSpan("add prices"',
  });
}

async function checkBunServe(project: string): Promise<void> {
  const store = await traceStore();
  const program = start(project, store, { PORT: "0" });
  const url = await program.url();
  expect(await (await fetch(`${url}/hello/ann`)).text()).toBe("Hello ann!");
  const spans = await traceIn(store, (all) => all.length === 4);
  const hello = only(spans, "greeter", "GET /hello/:name");
  expect(hello).toMatchObject({ kind: "server", parentId: undefined, status: "unset" });
  expect(only(spans, "greeter", "greet").parentId).toBe(hello.spanId);
  const call = spans.find(({ kind }) => kind === "client");
  expect(call).toMatchObject({ name: "GET", parentId: hello.spanId });
  const mark = spans.find(({ kind, parentId }) => kind === "server" && parentId === call?.spanId);
  expect(mark).toMatchObject({ name: "GET", attributes: { "url.path": "/mark" } });
  await expectCode(project, spans, {
    "GET /hello/:name": '"/hello/:name": async',
    greet: 'await inSpan("greet"',
    GET: "await tracedFetch(",
  });

  expect((await fetch(`${url}/broken`)).status).toBe(500);
  const [broken] = await traceIn(store, (all) => all[0]?.name === "GET /broken");
  expect(broken).toMatchObject({ status: "error", statusText: "out of greetings" });
  expect(await (await fetch(`${url}/metrics`)).text()).toContain(
    'http_server_request_duration_seconds_count{http_request_method="GET"',
  );
  expect(await program.stop()).toBe(0);
}
