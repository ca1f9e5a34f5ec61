import { afterAll, beforeAll, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { gunzipSync } from "node:zlib";
import { diag } from "@opentelemetry/api";
import { BlockSender, type Backoff } from "./block-sender.ts";
import { collectorSettings } from "./collector-settings.ts";

const BODIES = [Buffer.from("one "), Buffer.from("two")];
const LONG_MS = 30_000;

interface Arrived {
  atMs: number;
  path: string;
  headers: Record<string, string>;
  body: Buffer;
}

const undo: (() => unknown)[] = [];
let warnings: string[];
beforeAll(() => {
  const warn = spyOn(diag, "warn").mockImplementation((text) => void warnings.push(text));
  undo.push(() => warn.mockRestore());
});
beforeEach(() => {
  warnings = [];
});
afterAll(async () => {
  for (const run of undo.splice(0).toReversed()) await run();
});

/** A collector that gives these answers in turns, the last one again and again. */
function collector(...answers: (() => Response | Promise<Response>)[]) {
  const arrived: Arrived[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      arrived.push({
        atMs: performance.now(),
        path: new URL(request.url).pathname,
        headers: Object.fromEntries(request.headers),
        body: Buffer.from(await request.bytes()),
      });
      const answer = answers[Math.min(arrived.length, answers.length) - 1];
      return answer ? await answer() : new Response();
    },
  });
  undo.push(() => server.stop(true));
  return { arrived, url: `http://127.0.0.1:${server.port}` };
}

const status = (code: number, headers: Record<string, string> = {}) => {
  return () => new Response("no", { status: code, headers });
};

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  undo.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function senderTo(url: string, env: Record<string, string> = {}, backoff?: Backoff): BlockSender {
  const settings = collectorSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: url, ...env });
  const sender = new BlockSender(settings, backoff);
  undo.push(() => sender.stop());
  return sender;
}

test("blocks arrive as one request at the signal's path, with the headers that the variables name", async () => {
  const { arrived, url } = collector();
  const sender = senderTo(`${url}/base/`, {
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20x,team=a",
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: "team=b",
  });
  expect(await sender.send(BODIES, LONG_MS)).toEqual({});
  expect(arrived).toMatchObject([
    {
      path: "/base/v1/traces",
      headers: {
        "content-type": "application/x-protobuf",
        authorization: "Bearer x",
        team: "b",
      },
    },
  ]);
  expect(String(arrived[0]?.body)).toBe("one two");
  expect(arrived[0]?.headers["content-encoding"]).toBeUndefined();
});

test("a header of the user's takes the place of ours, whatever letters it is written in", async () => {
  const { arrived, url } = collector(status(200));
  await senderTo(url, { OTEL_EXPORTER_OTLP_HEADERS: "User-Agent=mine" }).send(BODIES, LONG_MS);
  expect(arrived[0]?.headers["user-agent"]).toBe("mine");
});

test("gzip is used where it is asked for", async () => {
  const { arrived, url } = collector();
  await senderTo(url, { OTEL_EXPORTER_OTLP_COMPRESSION: "gzip" }).send(BODIES, LONG_MS);
  expect(arrived[0]?.headers["content-encoding"]).toBe("gzip");
  expect(String(gunzipSync(arrived[0]?.body ?? ""))).toBe("one two");
});

test.each([400, 401, 404, 413, 500])("%i is not tried again", async (code) => {
  const { arrived, url } = collector(status(code));
  expect(await senderTo(url).send(BODIES, LONG_MS)).toMatchObject({ errorType: `${code}` });
  expect(arrived).toHaveLength(1);
  expect(warnings.join()).toContain(`${code}`);
});

test("a redirect is not followed: spans go where they were told to go", async () => {
  const other = collector();
  const { url } = collector(status(307, { location: other.url }));
  expect(await senderTo(url).send(BODIES, LONG_MS)).toMatchObject({ errorType: "307" });
  expect(other.arrived).toEqual([]);
});

test("a Retry-After beyond the time limit is not waited for", async () => {
  const { arrived, url } = collector(status(503, { "retry-after": "3600" }));
  const startedMs = performance.now();
  expect(await senderTo(url).send(BODIES, LONG_MS)).toMatchObject({ errorType: "503" });
  expect(performance.now() - startedMs).toBeLessThan(5_000);
  expect(arrived).toHaveLength(1);
});

// By itself: those that are concurrent share their warnings.
test("a second try that succeeds is worth no warning", async () => {
  const { arrived, url } = collector(status(503), () => new Response());
  const soon = { firstMs: 10, factor: 1, maxMs: 10, jitter: 0 };
  expect(await senderTo(url, {}, soon).send(BODIES, LONG_MS)).toEqual({});
  expect(arrived).toHaveLength(2);
  expect(warnings).toEqual([]);
});

describe.concurrent("after a wait", () => {
  test.each([429, 502, 503, 504])("%i is tried again, after about a second", async (code) => {
    const { arrived, url } = collector(status(code), () => new Response());
    expect(await senderTo(url).send(BODIES, LONG_MS)).toEqual({});
    const [first, second] = arrived;
    expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThan(700);
    expect(String(second?.body)).toBe("one two");
  });

  test.each([
    ["in seconds", () => "1", 900],
    // A date has whole seconds: the next one that is 0.3 s away or more.
    ["as a date", () => new Date(Math.ceil((Date.now() + 300) / 1_000) * 1_000).toUTCString(), 250],
  ])("Retry-After is waited for, %s", async (_, retryAfter, atLeastMs) => {
    const { arrived, url } = collector(
      () => status(503, { "retry-after": retryAfter() })(),
      () => new Response(),
    );
    // Without Retry-After there would be no second try: its wait would go beyond the time limit.
    const backoff = { firstMs: LONG_MS, factor: 1, maxMs: LONG_MS, jitter: 0 };
    expect(await senderTo(url, {}, backoff).send(BODIES, LONG_MS)).toEqual({});
    const [first, second] = arrived;
    expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThan(atLeastMs);
  });

  test("a connection that breaks is followed by another try", async () => {
    let connections = 0;
    const server = createServer((socket: Socket) => {
      socket.on("error", () => undefined);
      if (++connections === 1) socket.destroy();
      else socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    });
    const url = await listening(server);
    expect(await senderTo(url).send(BODIES, LONG_MS)).toEqual({});
    expect(connections).toBe(2);
  });
});

test("an answer of more than 4 MiB is given up", async () => {
  const { url } = collector(() => new Response(new Uint8Array(5 * 1024 * 1024)));
  expect(await senderTo(url).send(BODIES, LONG_MS)).toMatchObject({
    errorType: "answer_too_large",
  });
});

describe.concurrent("at the time limit", () => {
  /** A second try that comes soon, and a third one that would come too late. */
  const secondSoon = { firstMs: 200, factor: 1_000, maxMs: LONG_MS, jitter: 0 };

  test("a collector that is down is given up at the time limit", async () => {
    const gone = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
    await gone.stop(true);
    const startedMs = performance.now();
    const outcome = await senderTo(gone.url.origin, {}, secondSoon).send(BODIES, 5_000);
    expect(outcome).toMatchObject({ errorType: "ECONNREFUSED" });
    // It was tried a second time, after a wait.
    expect(performance.now() - startedMs).toBeGreaterThan(190);
  });

  test("all tries together end with the time limit", async () => {
    const { arrived, url } = collector(status(503));
    const startedMs = performance.now();
    const env = { OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: "5000" };
    const sender = senderTo(url, env, secondSoon);
    expect(await sender.send(BODIES, LONG_MS)).toMatchObject({ errorType: "503" });
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    expect(arrived).toHaveLength(2);
  });

  test.each([
    ["never comes", () => new Promise<Response>(() => undefined)],
    [
      "trickles",
      () =>
        new Response(
          new ReadableStream({
            async pull(controller) {
              await Bun.sleep(20);
              controller.enqueue(new Uint8Array(1));
            },
          }),
        ),
    ],
  ])("an answer that %s is given up at the time limit", async (_, answer) => {
    const { url } = collector(answer);
    const startedMs = performance.now();
    expect(await senderTo(url).send(BODIES, 250)).toMatchObject({ errorType: "timeout" });
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });
});

test("spans that the collector rejects are told, with its reason", async () => {
  // partial_success { rejected_spans: 300, error_message: "too old" }
  const answer = Buffer.from([0x0a, 12, 0x08, 0xac, 0x02, 0x12, 7, ...Buffer.from("too old")]);
  const { url } = collector(() => new Response(answer));
  expect(await senderTo(url).send(BODIES, LONG_MS)).toMatchObject({
    errorType: "rejected",
    rejected: 300,
  });
  expect(warnings.join()).toContain("too old");
});

test("an empty partial success, a warning, and an answer that is not OTLP lose nothing", async () => {
  const warning = Buffer.from([0x0a, 4, 0x12, 2, ...Buffer.from("hm")]);
  const answers = [Buffer.from([0x0a, 0]), warning, Buffer.from("<html>")];
  const { url } = collector(...answers.map((body) => () => new Response(body)));
  const sender = senderTo(url);
  for (const _ of answers) {
    expect((await sender.send(BODIES, LONG_MS)).errorType).toBeUndefined();
  }
  expect(warnings).toHaveLength(2);
});

test("stop ends what is under way at once, a wait for the next try as well", async () => {
  const { url, arrived } = collector(status(503, { "retry-after": "20" }), () => {
    return new Promise<Response>(() => undefined);
  });
  for (const count of [1, 2]) {
    const sender = senderTo(url, { OTEL_EXPORTER_OTLP_TIMEOUT: String(LONG_MS) });
    const sending = sender.send(BODIES, LONG_MS);
    while (arrived.length < count) await Bun.sleep(5);
    await Bun.sleep(50);
    const stoppedMs = performance.now();
    sender.stop();
    // What it waited for goes on to be what went wrong.
    expect((await sending).errorType).toBe(count === 1 ? "503" : "timeout");
    expect(await sender.send(BODIES, LONG_MS)).toEqual({ errorType: "stopped" });
    expect(performance.now() - stoppedMs).toBeLessThan(2_000);
    expect(arrived).toHaveLength(count);
  }
});

test("the way leads through the proxy that the environment names, and past it where NO_PROXY says so", async () => {
  const seen: string[] = [];
  const proxy = createServer((socket: Socket) => {
    socket.on("error", () => undefined);
    socket.once("data", (data) => {
      seen.push(String(data).split("\r\n")[0] ?? "");
      socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    });
  });
  const HTTP_PROXY = await listening(proxy);
  expect(
    await senderTo("http://collector.example:4318", { HTTP_PROXY }).send(BODIES, LONG_MS),
  ).toEqual({});
  expect(seen).toEqual(["POST http://collector.example:4318/v1/traces HTTP/1.1"]);
  const { arrived, url } = collector();
  const before = process.env["HTTP_PROXY"];
  process.env["HTTP_PROXY"] = HTTP_PROXY;
  try {
    await senderTo(url, { HTTP_PROXY, NO_PROXY: "127.0.0.0/8" }).send(BODIES, LONG_MS);
  } finally {
    if (before === undefined) delete process.env["HTTP_PROXY"];
    else process.env["HTTP_PROXY"] = before;
  }
  expect(arrived).toHaveLength(1);
  expect(seen).toHaveLength(1);
});
