/** The tutorial's system and checks: what is seen of a stage's programs, and that nothing of them stays. */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { SQL } from "bun";
import { encodeOtlp, type OtlpEncoding } from "#lib/embedded/traces/otlp-codec.ts";
import {
  runCheck,
  verdict,
  type CheckItem,
  type Trial,
} from "../../scripts/tutorial/check/index.ts";
import { createScratch } from "../../scripts/tutorial/scratch.ts";
import { solutionOf, STAGES, stageOf, type Stage } from "../../scripts/tutorial/stages.ts";
import { startCollector } from "../../scripts/tutorial/system/collector.ts";
import {
  ReaderError,
  startSystem,
  type System,
  type SystemOptions,
} from "../../scripts/tutorial/system/index.ts";
import { startParts, type TestParts } from "../support/tutorial.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);
const KILLED_AFTER_MS = 5_000;

let parts: TestParts;
beforeAll(async () => {
  parts = await startParts();
});
afterAll(async () => {
  expect(await leftDatabases()).toEqual([]);
  await parts[Symbol.asyncDispose]();
});

const stage = (id: string): Stage => stageOf(id) ?? STAGES[0]!;

/** Programs that do next to nothing, each telling its process id. */
const TINY = {
  "schema.sql": "CREATE TABLE orders (id uuid PRIMARY KEY, status text NOT NULL);",
  "gateway.ts": `
    console.log("pid", process.pid);
    const { PORT, ORDERS_URL } = process.env;
    Bun.serve({
      hostname: "127.0.0.1",
      port: Number(PORT),
      async fetch(request) {
        const { pathname } = new URL(request.url);
        if (pathname === "/env") return Response.json(process.env);
        if (pathname === "/crash") process.exit(3);
        if (pathname === "/flood") {
          const line = "x".repeat(1_000) + "\\n";
          for (let count = 0; count < 50_000; count++) process.stdout.write(line);
          process.stdout.write("y".repeat(100_000) + "\\nlast\\n");
          return new Response("flooded");
        }
        const answer = await fetch(ORDERS_URL + pathname, {
          method: request.method,
          headers: { TraceParent: "AB", "x-any": "1" },
          body: await request.text(),
          signal: request.signal,
        }).catch((error) => new Response(String(error), { status: 599 }));
        return new Response(await answer.text(), { status: answer.status });
      },
    });`,
  "orders.ts": `
    console.log("pid", process.pid);
    Bun.serve({
      hostname: "127.0.0.1",
      port: Number(process.env.PORT),
      async fetch(request) {
        if (request.url.endsWith("/slow")) {
          request.signal.addEventListener("abort", () => console.log("hung up"));
          await Bun.sleep(5_000);
        }
        const id = await request.text();
        return Response.json({ id }, { status: id.includes("nobody") ? 500 : 201 });
      },
    });`,
};
const TINY_PROGRAMS = ["orders", "gateway"] as const;

const scratches: Disposable[] = [];
afterEach(() => scratches.splice(0).forEach((scratch) => scratch[Symbol.dispose]()));

/** Runs tiny programs, some of them other ones. */
async function startTiny(
  files: Readonly<Record<string, string>> = {},
  options: Partial<SystemOptions> = {},
): Promise<System> {
  const scratch = createScratch(new Map(Object.entries({ ...TINY, ...files })));
  scratches.push(scratch);
  return await startSystem({
    folder: scratch.folder,
    stage: stage("00"),
    parts,
    programs: TINY_PROGRAMS,
    forward: false,
    ...options,
  });
}

/** Collects the process ids that tiny programs tell. */
function pidsOf() {
  const pids: number[] = [];
  const onLine = (_program: string, line: string) => {
    const [, pid] = /^pid (\d+)$/.exec(line) ?? [];
    if (pid !== undefined) pids.push(Number(pid));
  };
  return { pids, onLine };
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Databases of runs that nobody has removed. */
async function leftDatabases(): Promise<string[]> {
  const sql = new SQL(parts.postgresUrl, { max: 1 });
  try {
    const rows: { name: string }[] =
      await sql`SELECT datname AS name FROM pg_database WHERE datname LIKE 'tutorial%'`;
    return rows.map(({ name }) => name);
  } finally {
    await sql.close();
  }
}

describe("a stage's solution", () => {
  let system: System;
  beforeAll(async () => {
    system = await startSystem({ folder: solutionOf(stage("03")), stage: stage("03"), parts });
  });
  afterAll(() => system[Symbol.asyncDispose]());

  test("is seen whole: spans, hops, records, rows and statements of one order", async () => {
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    const traceparent = `00-${traceId}-b7ad6b7169203331-01`;
    const { id } = await system.placeOrder({ headers: { traceparent, tracestate: "a=1" } });
    expect(await system.confirmed(id)).toBeTrue();
    expect(await system.consumed()).toBeTrue();

    const spans = await system.spansWhen((seen) =>
      ["gateway", "orders", "worker"].every((name) => seen.some((one) => one.service === name)),
    );
    const server = spans.find(({ service, kind }) => service === "gateway" && kind === "SERVER");
    expect(server).toMatchObject({
      scope: "tutorial",
      traceId,
      parentSpanId: "b7ad6b7169203331",
      name: "POST /orders",
      status: "UNSET",
      traceState: "a=1",
      attributes: { "http.response.status_code": 201 },
      resource: { "service.name": "gateway" },
    });
    expect(server!.endNs).toBeGreaterThan(server!.startNs);
    const traceCount = new Set(spans.map((one) => one.traceId)).size;
    expect(system.traces()).toHaveLength(traceCount);

    expect(system.hops()).toMatchObject([
      { from: "gateway", to: "orders", method: "POST", path: "/orders", status: 201 },
      { from: "worker", to: "orders", method: "PATCH", path: `/orders/${id}`, status: 200 },
    ]);
    expect(await system.records("order.created")).toMatchObject([{ key: id, headers: {} }]);
    const rows = await system.rows("SELECT status FROM orders WHERE id = $1", [id]);
    expect(rows).toEqual([{ status: "confirmed" }]);

    const ofProgram = /^(BEGIN|COMMIT|INSERT|UPDATE)\b/;
    const statements = await system.when(
      () => system.statements(),
      (seen) => seen.some((text) => text.startsWith("UPDATE")),
    );
    expect(statements.filter((text) => !ofProgram.test(text))).toEqual([]);
    expect(statements.map((text) => ofProgram.exec(text)?.[1])).toEqual([
      "BEGIN",
      "INSERT",
      "INSERT",
      "INSERT",
      "COMMIT",
      "UPDATE",
    ]);
  });

  test("shows its spans in the viewer, too", async () => {
    const [trace] = system.traces();
    const traceId = trace?.resourceSpans[0]?.scopeSpans?.[0]?.spans?.[0]?.traceId;
    await until("the viewer has the trace", async () => {
      return (await fetch(`${parts.queryUrl}/api/traces/${traceId}`)).ok;
    });
  });

  test("forgets what it has seen, and keeps rows and records", async () => {
    system.disturb("gateway", { status: 500, times: 100 });
    await system.forget();
    expect([system.spans(), system.hops(), system.output("gateway")]).toEqual([[], [], []]);
    expect(await system.records("order.created")).toHaveLength(1);
    const { id } = await system.placeOrder();
    expect(await system.confirmed(id)).toBeTrue();
  });

  test("goes on where it was when a program is killed and started again", async () => {
    await system.kill("worker");
    expect(system.isWhole).toBeFalse();
    const { id } = await system.placeOrder();
    await system.start("worker");
    expect(await system.confirmed(id)).toBeTrue();
    await system.restart("orders");
    expect((await system.request("gateway", "GET", `/orders/${id}`)).json()).toMatchObject({
      id,
    });
    expect(system.isWhole).toBeTrue();
    expect(system.crashes()).toEqual([]);
  });

  test("takes records that a check writes, with their headers", async () => {
    const headers = { traceparent: Buffer.from("00-ab"), other: "text" };
    await system.produce("order.created.dlq", { key: "k", value: "v", headers }, { value: "w" });
    const records = await system.recordsWhen("order.created.dlq", ({ length }) => length === 2);
    expect(records.map(({ key, value }) => [key, value])).toEqual([
      ["k", "v"],
      [undefined, "w"],
    ]);
    expect(await system.records("no.such.topic")).toEqual([]);
    expect(records[0]!.headers).toEqual({
      traceparent: Buffer.from("00-ab"),
      other: Buffer.from("text"),
    });
  });

  test("says in one sentence what the database refuses", async () => {
    const asked = system.rows("SELECT * FROM nowhere");
    await expect(asked).rejects.toThrow(/^the database refuses SELECT .*nowhere/);
  });
});

describe("a program's surroundings", () => {
  test("it has the environment that the pages name, and nothing else of ours", async () => {
    process.env["OTEL_SERVICE_NAME"] = "not theirs";
    process.env["HTTP_PROXY"] = "http://127.0.0.1:9";
    try {
      await using system = await startTiny({}, { env: { gateway: { EXTRA: "1" } } });
      const env = (await system.request("gateway", "GET", "/env")).json();
      const inherited = ["HOME", "PATH", "TMPDIR"].filter((name) => process.env[name]);
      const own = [
        "EXTRA",
        "KAFKA_BROKERS",
        "NODE_NO_WARNINGS",
        "ORDERS_URL",
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_METRIC_EXPORT_INTERVAL",
        "PORT",
        "POSTGRES_URL",
      ];
      // What Bun adds itself to what it runs.
      const names = Object.keys(env as object).filter(
        (name) => !/^(npm_|BUN_|_$|NODE$)/.test(name),
      );
      expect(names.sort()).toEqual([...inherited, ...own].sort());
    } finally {
      delete process.env["OTEL_SERVICE_NAME"];
      delete process.env["HTTP_PROXY"];
    }
  });

  test("its requests are kept as they crossed the wire, and fail as told", async () => {
    await using system = await startTiny();
    const send = async () =>
      (await system.request("gateway", "POST", "/a%20b", { body: "x" })).status;
    expect(await send()).toBe(201);
    const [hop] = system.hops();
    expect(hop).toMatchObject({ path: "/a%20b", body: "x", status: 201 });
    expect(hop!.headers).toContainEqual(["TraceParent", "AB"]);

    system.disturb("gateway", { status: 503, times: 2 });
    system.disturb("gateway", { cut: true, times: 1 });
    system.disturb("gateway", { delayMs: 200, times: 1 });
    expect([await send(), await send(), await send()]).toEqual([503, 503, 599]);
    const sentMs = performance.now();
    expect(await send()).toBe(201);
    expect(performance.now() - sentMs).toBeGreaterThanOrEqual(190);
    expect(await send()).toBe(201);
    const statuses = system.hops().map(({ status }) => status);
    expect(statuses).toEqual([201, 503, 503, undefined, 201, 201]);
  });

  test("a caller that hangs up is noticed behind the proxy as well", async () => {
    await using system = await startTiny();
    const gone = new AbortController();
    const asked = system.request("gateway", "POST", "/slow", { body: "", signal: gone.signal });
    await system.when(
      () => system.hops(),
      (hops) => hops.length === 1,
    );
    gone.abort(new Error("enough"));
    await expect(asked).rejects.toThrow("enough");
    const lines = await system.when(
      () => system.output("orders"),
      (lines) => lines.includes("hung up"),
    );
    expect(lines).toContain("hung up");
  });

  test("a program that does not answer is told of, and no error of the tool", async () => {
    await using system = await startTiny();
    const asked = system.request("gateway", "POST", "/slow", { body: "", timeoutMs: 100 });
    await expect(asked).rejects.toThrow(
      new ReaderError("the program gateway did not answer POST /slow within 0.1 s"),
    );
    const refused = system.placeOrder({ customer: "nobody" });
    await expect(refused).rejects.toThrow(/^gateway answered POST \/orders with 500 {"id"/);
  });

  test("a flood of output is kept to its end, in bounded memory", async () => {
    await using system = await startTiny();
    const answer = await system.request("gateway", "GET", "/flood", { timeoutMs: 30_000 });
    expect(answer.text).toBe("flooded");
    const lines = await system.when(
      () => system.output("gateway"),
      (seen) => seen.at(-1) === "last",
      20_000,
    );
    expect(lines).toHaveLength(1_000);
    expect(lines.at(-1)).toBe("last");
    expect(lines.at(-2)).toHaveLength(4_096);
  });
});

describe("a program that fails", () => {
  test("before it listens: its last words are told, and nothing stays", async () => {
    const { pids, onLine } = pidsOf();
    const started = startTiny({ "orders.ts": `throw new Error("no such thing");` }, { onLine });
    const error = await started.catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ReaderError);
    expect(String(error)).toContain("orders.ts ended with status 1 before it listened");
    expect(String(error)).toContain("no such thing");
    expect(pids.filter(isRunning)).toEqual([]);
    expect(await leftDatabases()).toEqual([]);
  });

  test("never listens: that is told in time, and it is ended", async () => {
    const { pids, onLine } = pidsOf();
    const orders = `console.log("pid", process.pid); setInterval(() => {}, 1_000);`;
    const started = startTiny({ "orders.ts": orders }, { onLine, readyTimeoutMs: 1_500 });
    await expect(started).rejects.toThrow(/orders.ts runs, but not so that it listened .* 1.5 s/);
    expect(pids).not.toEqual([]);
    expect(pids.filter(isRunning)).toEqual([]);
  });

  test("a schema that PostgreSQL does not take: nothing is started", async () => {
    const started = startTiny({ "schema.sql": "CREATE TABEL orders ();" });
    await expect(started).rejects.toThrow(/^schema.sql could not be run: .*TABEL/);
    expect(await leftDatabases()).toEqual([]);
  });

  test("later on: it is told of once, by its status", async () => {
    const told: ReaderError[] = [];
    await using system = await startTiny({}, { onUnexpectedEnd: (what) => told.push(what) });
    await expect(system.request("gateway", "GET", "/crash")).rejects.toThrow(ReaderError);
    const crashes = await system.when(
      () => system.crashes(),
      ({ length }) => length > 0,
    );
    expect(crashes.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^gateway.ts ended with status 3 by itself/),
    ]);
    expect(told).toEqual([...crashes]);
    await system.start("gateway");
    expect(system.isWhole).toBeTrue();
  });

  test("at SIGTERM, by going on: it is killed 5 s later, and nothing stays", async () => {
    const { pids, onLine } = pidsOf();
    const gateway = `process.on("SIGTERM", () => {});${TINY["gateway.ts"]}`;
    const system = await startTiny({ "gateway.ts": gateway }, { onLine });
    const [end] = await system.stop("gateway");
    expect(end).toMatchObject({ program: "gateway", signal: "SIGKILL" });
    expect(end!.ms).toBeGreaterThanOrEqual(KILLED_AFTER_MS - 100);
    await system[Symbol.asyncDispose]();
    expect(pids).toHaveLength(2);
    expect(pids.filter(isRunning)).toEqual([]);
  });

  test("a start that is given up leaves nothing", async () => {
    const { pids, onLine } = pidsOf();
    const givingUp = new AbortController();
    const orders = `console.log("pid", process.pid); setInterval(() => {}, 1_000);`;
    const started = startTiny({ "orders.ts": orders }, { onLine, signal: givingUp.signal });
    started.catch(() => {});
    await until("both programs run", () => pids.length === 2);
    givingUp.abort(new Error("given up"));
    await expect(started).rejects.toThrow("given up");
    expect(pids.filter(isRunning)).toEqual([]);
    expect(await leftDatabases()).toEqual([]);
  });
});

const post = async (
  url: string,
  path: string,
  message: Record<string, unknown>,
  encoding: OtlpEncoding = "application/x-protobuf",
) => {
  const types = { traces: "Trace", metrics: "Metrics", logs: "Logs" };
  const type = `Export${types[path as keyof typeof types]}ServiceRequest`;
  const body = new Uint8Array(encodeOtlp(type, encoding, message));
  const headers = { "content-type": encoding };
  const signal = AbortSignal.timeout(500);
  const sent = fetch(`${url}/v1/${path}`, { method: "POST", headers, body, signal });
  return await sent.then(({ status }) => status).catch((error: Error) => error.name);
};
test("the database of a run that was killed is removed by the next, and that of no other", async () => {
  const dead = Bun.spawn([process.execPath, "-e", ""]);
  await dead.exited;
  const sql = new SQL(parts.postgresUrl, { max: 1 });
  const names = [`tutorial_${dead.pid}_a`, `tutorial_${process.pid}_a`];
  try {
    for (const name of names) await sql.unsafe(`CREATE DATABASE ${name}`);
    await (await startTiny())[Symbol.asyncDispose]();
    expect(await leftDatabases()).toEqual([names[1]!]);
  } finally {
    await sql.unsafe(`DROP DATABASE ${names[1]}`);
    await sql.close();
  }
});

describe("the collector", () => {
  const resource = {
    attributes: [{ key: "service.name", value: { stringValue: "orders" } }],
  };
  const spans = {
    resourceSpans: [
      { resource, scopeSpans: [{ spans: [{ traceId: "aa".repeat(16), spanId: "bb".repeat(8) }] }] },
    ],
  };
  // ids are hex in OTLP/JSON alone.
  const sendSpans = (url: string) => post(url, "traces", spans, "application/json");

  test("hangs, refuses and takes as told, and counts all that comes", async () => {
    const collector = startCollector();
    const { control, url } = collector;
    try {
      control.hang("traces");
      expect(await sendSpans(url)).toBe("TimeoutError");
      expect(await post(url, "metrics", {})).toBe(200);
      const hanging = sendSpans(url);
      await until("it hangs", () => control.exports("traces") === 2);
      control.resume();
      expect(await hanging).toBe(200);
      control.refuse(503);
      expect(await sendSpans(url)).toBe(503);
      expect(collector.spans()).toHaveLength(1);
      control.resume();
      expect(await sendSpans(url)).toBe(200);
      expect(collector.spans()).toHaveLength(2);
      expect([control.exports(), control.exports("traces")]).toEqual([5, 4]);
      expect(control.bytesReceived("traces")).toBe(4 * JSON.stringify(spans).length);
    } finally {
      await collector.stop();
    }
  });

  test("keeps the latest point of each series, and logs with their span", async () => {
    const collector = startCollector();
    try {
      const histogram = (count: number) => ({
        resourceMetrics: [
          {
            resource,
            scopeMetrics: [
              {
                scope: { name: "s" },
                metrics: [
                  {
                    name: "http.server.request.duration",
                    unit: "s",
                    histogram: {
                      aggregationTemporality: 2,
                      dataPoints: [
                        {
                          attributes: [{ key: "http.route", value: { stringValue: "/orders" } }],
                          count: String(count),
                          sum: 0.5,
                          bucketCounts: [String(count), "0"],
                          explicitBounds: [1],
                        },
                      ],
                    },
                  },
                ],
              },
            ],
          },
        ],
      });
      for (const count of [1, 2]) {
        expect(await post(collector.url, "metrics", histogram(count))).toBe(200);
      }
      expect(collector.metrics()).toMatchObject([
        {
          service: "orders",
          type: "histogram",
          temporality: "cumulative",
          unit: "s",
          attributes: { "http.route": "/orders" },
          count: 2,
          sum: 0.5,
          buckets: [2, 0],
          bounds: [1],
        },
      ]);
      const record = {
        severityText: "INFO",
        body: { stringValue: "hello" },
        traceId: "aa".repeat(16),
        spanId: "bb".repeat(8),
      };
      const logs = { resourceLogs: [{ resource, scopeLogs: [{ logRecords: [record] }] }] };
      expect(await post(collector.url, "logs", logs, "application/json")).toBe(200);
      expect(collector.logs()).toMatchObject([
        { service: "orders", severity: "INFO", body: "hello", traceId: "aa".repeat(16) },
      ]);
    } finally {
      await collector.stop();
    }
  });
});

/** Runs items on tiny programs. */
const check = async (
  items: readonly CheckItem[],
  options: {
    files?: Readonly<Record<string, string>>;
    timeoutMs?: number;
    signal?: AbortSignal;
  } = {},
) => {
  const { files = {}, ...rest } = options;
  using scratch = createScratch(new Map(Object.entries({ ...TINY, ...files })));
  const said: string[] = [];
  const outcome = await runCheck({
    folder: scratch.folder,
    stage: { ...stage("01"), programs: TINY_PROGRAMS },
    parts,
    say: (text) => said.push(text),
    check: { hints: ["a", "b", "c"], items },
    forward: false,
    ...rest,
  });
  return { outcome, said };
};
const item = (title: string, judge: CheckItem["judge"]): CheckItem => ({
  title,
  anchor: "#paragraph",
  judge,
});
const passing = item("it answers", async (trial) => {
  const { status } = await (await trial.system()).request("gateway", "POST", "/", { body: "" });
  return verdict({ did: "POST /", saw: `${status}` }, [[status === 201, "201"]]);
});
const pidsIn = async (trial: Trial) => {
  const system = await trial.system();
  return TINY_PROGRAMS.flatMap((program) =>
    system.output(program).map((line) => Number(line.replace("pid ", ""))),
  );
};

/** Checks a solution as if it were the exercise of stage 01. */
const checkSolution = async (solution: string) => {
  const said: string[] = [];
  const folder = solutionOf(stage(solution));
  const say = (text: string) => said.push(text);
  const outcome = await runCheck({ folder, stage: stage("01"), parts, say });
  return { outcome, text: said.join("\n") };
};

describe("a check", () => {
  test("passes a solution, and says what another misses: did, saw, expected, and where to read", async () => {
    const solved = await checkSolution("01");
    expect(solved.text).toEndWith("stage 01 is done: all 3 promises hold");
    expect(solved.outcome).toBe("passed");
    const bare = await checkSolution("00");
    expect(bare.outcome).toBe("not done");
    expect(bare.text).toContain("did       POST /orders at the gateway\n");
    expect(bare.text).toContain("saw       no span\n");
    expect(bare.text).toContain("expected  a span at the collector");
    expect(bare.text).toContain("read      docs/tutorial/01-first-span.md#one-span");
    expect(bare.text).toEndWith("`bun run tutorial hint 01` helps");
  });

  test("judges what comes after an item that failed, and counts", async () => {
    const failing = item("it sings", async () =>
      verdict({ did: "listened", saw: "nothing\nat all" }, [[false, "a song"]]),
    );
    const { outcome, said } = await check([failing, passing]);
    expect(outcome).toBe("not done");
    expect(said.slice(1)).toEqual([
      [
        "✗ it sings",
        "  did       listened",
        "  saw       nothing",
        "            at all",
        "  expected  a song",
        "  read      docs/tutorial/01-first-span.md#paragraph",
      ].join("\n"),
      "✓ it answers",
      "your exercise is not done yet: 1 of 2 promises is not kept; `bun run tutorial hint 01` helps",
    ]);
  });

  test("programs that do not start: says so once, with their last words", async () => {
    const { outcome, said } = await check([passing, passing], {
      files: { "orders.ts": `throw new Error("no such thing");` },
    });
    expect(outcome).toBe("not done");
    expect(said).toHaveLength(3);
    expect(said[1]).toContain("orders.ts ended with status 1 before it listened");
    expect(said[1]).toContain("no such thing");
    expect(said[2]).toStartWith("your exercise is not done yet: its programs do not run");
  });

  test("a program that crashes fails its item, by name, and the next one has it again", async () => {
    const crashing = item("it stays", async (trial) => {
      await (await trial.system()).request("gateway", "GET", "/crash");
      return verdict({ did: "", saw: "" }, []);
    });
    const { outcome, said } = await check([crashing, passing]);
    expect(outcome).toBe("not done");
    expect(said[1]).toContain("gateway.ts ended with status 3 by itself");
    expect(said[2]).toBe("✓ it answers");
  });

  test("an item's own system has its environment, and ends with the item", async () => {
    let pids: number[] = [];
    const own = item("it has its own", async (trial) => {
      const system = await trial.system({ env: { gateway: { EXTRA: "1" } } });
      const env = Object((await system.request("gateway", "GET", "/env")).json()) as {
        EXTRA?: string;
      };
      pids = system.output("gateway").map((line) => Number(line.replace("pid ", "")));
      return verdict({ did: "", saw: "" }, [[env.EXTRA === "1", "EXTRA"]]);
    });
    const gone = item("it is gone", async () => {
      const left = pids.filter(isRunning);
      return verdict({ did: "", saw: left.join() }, [[pids.length === 1 && left.length === 0, ""]]);
    });
    expect((await check([own, gone])).outcome).toBe("passed");
  });

  test("the tool's own error is told as that, with its place", async () => {
    const broken = item("it is broken", () => Promise.reject(new TypeError("oh")));
    const { outcome, said } = await check([passing, broken]);
    expect(outcome).toBe("broke");
    expect(said.at(-1)).toMatch(/^the tool broke at "it is broken": TypeError: oh\n +at /);
  });

  test("one that is given up, or takes too long, leaves nothing behind", async () => {
    const givingUp = new AbortController();
    const pids: number[] = [];
    const waiting = item("it waits", async (trial) => {
      pids.push(...(await pidsIn(trial)));
      givingUp.abort(new Error("given up"));
      await (await trial.system()).spansWhen(() => false, 600_000);
      return verdict({ did: "", saw: "" }, []);
    });
    const checked = check([waiting], { signal: givingUp.signal });
    await expect(checked).rejects.toThrow("given up");

    const slow = item("it is slow", async (trial) => {
      pids.push(...(await pidsIn(trial)));
      await (await trial.system({ fresh: true })).spansWhen(() => false, 600_000);
      return verdict({ did: "", saw: "" }, []);
    });
    const { outcome, said } = await check([slow], { timeoutMs: 5_000 });
    expect(outcome).toBe("broke");
    expect(said.at(-1)).toBe('the tool broke at "it is slow": the check was not over within 5 s');
    expect(pids).toHaveLength(4);
    expect(pids.filter(isRunning)).toEqual([]);
    expect(await leftDatabases()).toEqual([]);
  });
});
