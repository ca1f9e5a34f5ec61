/** The demo as a user runs it: what it prints, its exit status, and that nothing of it stays. */
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { ORDER_SERVICES, SERVICE_NAMES } from "#lib/service/services.ts";
import { chmod, cp, mkdtemp, readdir, rm, symlink, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { SQL } from "bun";
import { join } from "node:path";
import { freePort } from "#lib/embedded/free-port.ts";
import { attribute, type OtlpTrace, spansOf } from "#lib/embedded/traces/otlp.ts";
import { differences, drawnTraces, realSpans } from "./support/docs/drawn-trace.ts";
import { makeTraffic } from "./support/traffic.ts";
import { isListening } from "../scripts/shared/is-listening.ts";
import { isWholeTrace } from "../scripts/shared/waterfall.ts";

const ROOT = join(import.meta.dir, "..");
const TEST_TIMEOUT_MS = 120_000;
const WAIT_MS = 60_000;
const POLL_MS = 50;
const PORT_VARIABLES = [
  "GATEWAY_PORT",
  "ORDERS_PORT",
  "INVENTORY_PORT",
  "WORKER_PORT",
  "EMAIL_PORT",
  "OTLP_PORT",
  "JAEGER_PORT",
  "POSTGRES_PORT",
  "KAFKA_PORT",
];

setDefaultTimeout(TEST_TIMEOUT_MS);

/** A copy of what the demo is made of: its log files and a touched source are nobody else's. */
let checkout: string;
let temporaryFolder: string;
const running = new Set<number>();

beforeAll(async () => {
  checkout = await mkdtemp(join(tmpdir(), "orderflow-demo-checkout-"));
  for (const part of ["lib", "services", "scripts", "migrations", "package.json", "bunfig.toml"]) {
    await cp(join(ROOT, part), join(checkout, part), { recursive: true });
  }
  await symlink(join(ROOT, "node_modules"), join(checkout, "node_modules"));
});
afterAll(() => rm(checkout, { recursive: true, force: true }));

beforeEach(async () => {
  temporaryFolder = await mkdtemp(join(tmpdir(), "orderflow-demo-test-"));
  // For root PostgreSQL runs as another user, who makes and removes its folder here as in /tmp.
  await chmod(temporaryFolder, 0o1777);
});

afterEach(async () => {
  for (const pid of running) process.kill(-pid, "SIGKILL");
  running.clear();
  await rm(temporaryFolder, { recursive: true, force: true, maxRetries: 5 });
});

describe("bun run demo --once", () => {
  test("shows each part, draws the order's trace and exits 0, leaving nothing behind", async () => {
    const demo = startDemo(["--once"], { COLUMNS: "90" });
    expect(await demo.exitStatus).toBe(0);
    const { stdout, stderr } = demo;
    expect(stderr()).toBe("");
    for (const part of [
      "PostgreSQL",
      "Kafka broker",
      "trace store",
      "migrations",
      ...SERVICE_NAMES,
    ]) {
      expect(stdout()).toMatch(new RegExp(`^ +${part} .* \\d+\\.\\d\\d s$`, "m"));
    }
    expect(partsOf(stdout())).toEqual(expect.arrayContaining(partsOf(await readme())));
    expect(stdout()).toMatch(/^order [0-9a-f-]{36} is confirmed$/m);
    const services = /^trace [0-9a-f]{32} {2}\d+ spans, (\d+) services/m.exec(stdout())?.[1];
    expect(Number(services)).toBeGreaterThanOrEqual(ORDER_SERVICES.length);
    expect(stdout()).toMatch(/^worker .*process order\.created .*█.* ms$/m);
    expect(stdout()).not.toContain("\u001b"); // no colour where there is no terminal
    const waterfall = stdout().slice(stdout().indexOf("\ntrace ")).split("\n");
    expect(Math.max(...waterfall.map((line) => Bun.stringWidth(line)))).toBe(90);
    await expectNothingLeft(demo);
  });

  test("--json writes the whole trace as one JSON document, and nothing else, to standard output", async () => {
    const demo = startDemo(["--json"], { PGDATABASE: "none", PGSSLMODE: "require" });
    expect(await demo.exitStatus).toBe(0);
    const trace = JSON.parse(demo.stdout()) as OtlpTrace;
    expect(isWholeTrace(trace)).toEqual([]);
    const roots = spansOf(trace).filter(({ span }) => !span.parentSpanId);
    expect(roots.map(({ span, service }) => [service, span.name])).toEqual([
      ["gateway", "POST /orders"],
    ]);
    expect(attribute(roots[0]?.span.attributes, "http.response.status_code")).toBe(201);
    const [drawn] = drawnTraces(await readme());
    expect(drawn && differences(drawn, realSpans(spansOf(trace)))).toEqual([]);
    expect(drawn?.spanCount).toBeWithin(1, spansOf(trace).length + 1);
    expect(demo.stderr()).toContain("PostgreSQL");
  });
});

describe("a start that cannot succeed", () => {
  test("names a taken port and the variable that moves it, and starts nothing", async () => {
    using taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const demo = startDemo(["--once"], { INVENTORY_PORT: String(taken.port) });
    expect(await demo.exitStatus).toBe(1);
    expect(demo.stdout()).toBe("");
    expect(demo.stderr()).toBe(
      `port ${taken.port}, for the inventory service, is in use; ` +
        "INVENTORY_PORT moves it (0: any free port)\nPORTS=free, without variables of their own, moves all of them\n",
    );
    expect(await readdir(temporaryFolder)).toEqual([]);
  });

  test("says which two parts were given the same port", async () => {
    const port = String(freePort());
    const demo = startDemo([], { GATEWAY_PORT: port, KAFKA_PORT: port });
    expect(await demo.exitStatus).toBe(1);
    expect(demo.stderr()).toBe(
      `port ${port}, for the Kafka broker, is already meant for the gateway; ` +
        "KAFKA_PORT moves it (0: any free port)\nPORTS=free, without variables of their own, moves all of them\n",
    );
  });

  test("refuses PORTS that it does not know, by name", async () => {
    const demo = startDemo([], { PORTS: "any" });
    expect(await demo.exitStatus).toBe(1);
    expect(demo.stderr()).toBe("PORTS must be one of usual, free\n");
  });

  test.each(["http", "-1", "65536", "1.5"])("refuses %p as a port, by name", async (value) => {
    const demo = startDemo([], { JAEGER_PORT: value });
    expect(await demo.exitStatus).toBe(1);
    expect(demo.stderr()).toBe("JAEGER_PORT must be an integer from 0 to 65535\n");
  });

  test.each(["--twice", "order", "--once --watch"])(
    "answers %p, which makes no sense, with the usage and exit status 2",
    async (args) => {
      const demo = startDemo(args.split(" "));
      expect(await demo.exitStatus).toBe(2);
      expect(demo.stdout()).toBe("");
      expect(demo.stderr()).toStartWith("usage: bun run demo");
    },
  );

  test("shows the last words of a service that does not start, and stops all others", async () => {
    const demo = startDemo(["--once"], { EMAIL_DELAY_MS: "soon" });
    expect(await demo.exitStatus).toBe(1);
    expect(demo.stderr()).toContain("the demo failed: email ended with status 1");
    expect(demo.stderr()).toContain("EMAIL_DELAY_MS must be");
    await expectNothingLeft(demo);
  });
});

describe("the end", () => {
  test("Ctrl-C while it starts leaves no process and no temporary folder", async () => {
    const demo = startDemo([]);
    await until(() => demo.stdout().includes("Kafka broker"));
    process.kill(-demo.pid, "SIGINT");
    expect(await demo.exitStatus).toBe(130);
    await expectNothingLeft(demo);
  });

  test("Ctrl-C that its parts hear before it does is a Ctrl-C all the same", async () => {
    const demo = startDemo([]);
    // The services are started when the trace store is there: which part is first is nobody's promise.
    const parts = ["-P", String(demo.pid)];
    const services = [...parts, "-f", "services/"];
    await until(() => Bun.spawnSync(["pgrep", ...services]).exitCode === 0);
    expect(Bun.spawnSync(["pkill", "-KILL", ...parts]).exitCode).toBe(0);
    await Bun.sleep(50);
    process.kill(demo.pid, "SIGINT");
    expect(await demo.exitStatus).toBe(130);
    await expectNothingLeft(demo);
  });

  test("Ctrl-C while it stays leaves no process and no temporary folder, with --watch as well", async () => {
    const demo = startDemo(["--watch"]);
    await until(() => demo.stdout().includes("Ctrl-C stops everything"));
    const file = join(checkout, "services/email/config.ts");
    // The system sets a watch up in its own time: touched again where it was not seen.
    let touchedMs = Number.NEGATIVE_INFINITY;
    await until(async () => {
      if (performance.now() - touchedMs > 15_000) {
        touchedMs = performance.now();
        await utimes(file, new Date(), new Date());
      }
      return demo.stdout().includes("email restarted");
    });
    const email = addresses(demo.stdout()).find(({ part }) => part === "email");
    expect((await fetch(`http://localhost:${email?.port}/readyz`)).status).toBe(200);

    process.kill(-demo.pid, "SIGINT"); // to the whole group, as a terminal does
    expect(await demo.exitStatus).toBe(0);
    await expectNothingLeft(demo);
  });

  test("while it stays it says where one's own service can send its traces to", async () => {
    const demo = startDemo([]);
    await until(() => demo.stdout().includes("Ctrl-C stops everything"));
    const [, endpoint] =
      /^ +OTEL_EXPORTER_OTLP_ENDPOINT=(http:\/\/localhost:\d+)$/m.exec(demo.stdout()) ?? [];
    const traceId = crypto.randomUUID().replaceAll("-", "");
    const span = { traceId, spanId: traceId.slice(16), name: "of another service" };
    const sent = await fetch(`${endpoint}/v1/traces`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }),
    });
    expect(sent.status).toBe(200);
    const [, query] = /^ +all traces +(http\S+)$/m.exec(demo.stdout()) ?? [];
    expect(await (await fetch(`${query}/api/traces/${traceId}`)).text()).toContain(span.name);
    // One name for this machine in all that is shown, and what is shown is there.
    expect(demo.stdout()).not.toContain("127.0.0.1");
    const [, postgresUrl = ""] = /^ +PostgreSQL +(postgres:\S+)$/m.exec(demo.stdout()) ?? [];
    await using sql = new SQL(postgresUrl, { max: 1 });
    expect([...(await sql`SELECT 1 AS one`)]).toEqual([{ one: 1 }]);
    const [, api = ""] = /^ +its API +(http\S+)$/m.exec(demo.stdout()) ?? [];
    expect((await fetch(api)).status).toBe(200);
    process.kill(-demo.pid, "SIGINT");
    expect(await demo.exitStatus).toBe(0);
  });

  test("kill -9 leaves no process and no temporary folder either; before it, traffic can be made", async () => {
    const demo = startDemo([]);
    await until(() => demo.stdout().includes("Ctrl-C stops everything"));
    const gateway = addresses(demo.stdout()).find(({ part }) => part === "gateway");
    const traffic = await makeTraffic({
      GATEWAY_URL: `http://localhost:${gateway?.port}`,
      SLEEP_SECONDS: "0.05",
    });
    expect(traffic.stdout).toMatch(/^10 orders in .*: 9 confirmed, 1 cancelled$/m);
    expect(traffic.stdout).toMatch(/^ *5\/10 +cancelled .* ITEM-404$/m);
    expect(traffic.exitStatus).toBe(0);

    process.kill(demo.pid, "SIGKILL");
    await demo.exitStatus;
    await expectNothingLeft(demo);
  });
});

/** A demo on free ports, in a process group of its own, its temporary folders in ours. */
function startDemo(args: readonly string[], env: Record<string, string> = {}) {
  const unset = Object.fromEntries(PORT_VARIABLES.map((variable) => [variable, ""]));
  const child = Bun.spawn([process.execPath, "scripts/demo.ts", ...args], {
    cwd: checkout,
    env: { ...process.env, ...unset, PORTS: "free", TMPDIR: temporaryFolder, ...env },
    detached: true,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  running.add(child.pid);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  return {
    pid: child.pid,
    stdout: stdout.text,
    stderr: stderr.text,
    exitStatus: Promise.all([child.exited, stdout.ended, stderr.ended]).then(([status]) => {
      running.delete(child.pid);
      return status;
    }),
  };
}

function collect(stream: ReadableStream<Uint8Array>): { text: () => string; ended: Promise<void> } {
  const decoder = new TextDecoder();
  let text = "";
  const read = async () => {
    for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  };
  return { text: () => text, ended: read() };
}

function readme(): Promise<string> {
  return Bun.file(join(ROOT, "README.md")).text();
}

/** What is told of a start before it is ready, in no order. */
function partsOf(text: string): string[] {
  const lines = text
    .slice(0, text.indexOf("\nready after "))
    .matchAll(/^ {2}(\S.*?) {2,}\S.* s$/gm);
  return [...lines].map(([, part = ""]) => part).sort();
}

/** The parts that the demo said are ready, and their ports. */
function addresses(stdout: string): { part: string; port: number }[] {
  const lines = stdout.matchAll(/^ {2}(\S.*?) +(?:http:\/\/)?localhost:(\d+) .* s$/gm);
  return [...lines].map(([, part = "", port]) => ({ part, port: Number(port) }));
}

/** Every part listens, so one that is left would be heard; what is temporary lies in our folder. */
async function expectNothingLeft(demo: { stdout: () => string }): Promise<void> {
  const parts = addresses(demo.stdout());
  expect(parts.length).toBeGreaterThan(0);
  for (const { port } of parts) await until(async () => !(await isListening(port)));
  await until(async () => (await readdir(temporaryFolder)).length === 0);
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + WAIT_MS;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`it did not come true within ${WAIT_MS} ms`);
    await Bun.sleep(POLL_MS);
  }
}
