import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { context, trace } from "@opentelemetry/api";
import { Elysia, t } from "elysia";
import { elysiaTelemetry } from "./elysia.ts";
import { noteServerError, traceRequest } from "./server.ts";
import { inSpan } from "../span.ts";
import { described, recordSpans, type SpanRecording } from "../testing/record-spans.ts";

const TRACE_ID = "0123456789abcdef0123456789abcdef";
const TRACEPARENT = `00-${TRACE_ID}-0123456789abcdef-01`;

let recording: SpanRecording;
beforeEach(() => {
  recording = recordSpans();
});
afterEach(() => recording.stop());

const untraced = ["/healthz"];

/** An app with one route of each kind that a span must survive. */
function testApp(config: { aot?: boolean } = {}, plugin = elysiaTelemetry({ untraced })) {
  return new Elysia(config)
    .use(plugin)
    .onError(({ code }) => {
      if (code === "NOT_FOUND") return new Response(null, { status: 404 });
      return code === "VALIDATION" ? undefined : new Response("sorry", { status: 500 });
    })
    .get("/plain/:id", ({ params }) => params.id)
    .get("/later", async () => {
      await Bun.sleep(1);
      return "later";
    })
    .get("/empty", ({ status }) => status(204, undefined as never))
    .get("/throws", () => {
      throw new RangeError("out of range, password=hunter2");
    })
    .get("/rejects", async () => {
      await Bun.sleep(1);
      throw new RangeError("out of range");
    })
    .get("/refuses", ({ status }) => {
      throw status(503, "too busy, password=hunter2");
    })
    .get("/static", "always the same")
    .post("/body", ({ body }) => body, { body: t.Object({ a: t.Number() }) })
    .get("/unavailable", () => new Response("busy", { status: 503 }))
    .get("/stream", () => {
      let left = 3;
      const pull = (controller: ReadableStreamDefaultController) =>
        left-- > 0 ? controller.enqueue(new TextEncoder().encode("x")) : controller.close();
      return new Response(new ReadableStream({ pull }));
    })
    .get("/generator", async function* () {
      yield "a";
      await Bun.sleep(1);
      yield "b";
    })
    .get("/nested", () => inSpan("inner", {}, async () => "done"))
    .get("/healthz", () => inSpan("probe", {}, async () => "ok"));
}

let config = {};
const get = (path: string, headers: Record<string, string> = {}, host = "host:81") =>
  testApp(config).handle(new Request(`http://${host}${path}`, { headers }));

/** Sends what no HTTP client would, and waits for some answer. */
async function sendRaw(port: number, request: string): Promise<void> {
  const answered = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (open) => void open.write(request),
      data: () => answered.resolve(),
      close: () => answered.resolve(),
    },
  });
  await answered.promise;
  socket.end();
}

describe.each([
  ["an app", {}],
  ["an app that is not compiled (aot: false)", { aot: false }],
])("a request to %s", (_, of) => {
  beforeEach(() => {
    config = of;
  });

  test.each([
    ["/plain/7", 200, "GET /plain/:id"],
    ["/later", 200, "GET /later"],
    ["/empty", 204, "GET /empty"],
    ["/stream", 200, "GET /stream"],
    ["/generator", 200, "GET /generator"],
    ["/static", 200, "GET /static"],
    ["/nothing", 404, "GET"],
  ])(
    "%s answered %d has one span %s that ends once and is no error",
    async (path, status, name) => {
      const answer = await get(path);
      await answer.text();
      expect(answer.status).toBe(status);
      expect(recording.spans().map(described)).toEqual([
        {
          name,
          kind: "SERVER",
          status: "UNSET",
          message: undefined,
          attributes: {
            "http.request.method": "GET",
            "url.path": path,
            "url.scheme": "http",
            "server.address": "host",
            "server.port": 81,
            "http.response.status_code": status,
            ...(name === "GET" ? {} : { "http.route": name.slice(4) }),
          },
        },
      ]);
    },
  );

  test.each(["/throws", "/rejects"])(
    "%s, whose handler throws, is an error with its text",
    async (path) => {
      expect((await get(path)).status).toBe(500);
      const [span, ...more] = recording.spans();
      expect(more).toEqual([]);
      expect(span && described(span)).toMatchObject({
        name: `GET ${path}`,
        status: "ERROR",
        message: expect.stringMatching(/^out of range/),
        attributes: { "error.type": "500", "http.response.status_code": 500 },
      });
      expect(JSON.stringify(span && described(span))).not.toContain("hunter2");
    },
  );

  test("answered 503 without an exception is an error, too", async () => {
    await get("/unavailable");
    expect(described(recording.span("GET /unavailable"))).toMatchObject({
      status: "ERROR",
      attributes: { "error.type": "503" },
    });
  });

  test("continues its caller's trace, and passes its tracestate on", async () => {
    await get("/nested", { traceparent: TRACEPARENT, tracestate: "vendor=1" });
    const server = recording.span("GET /nested");
    expect(server.spanContext().traceId).toBe(TRACE_ID);
    expect(server.parentSpanContext?.spanId).toBe("0123456789abcdef");
    const inner = recording.span("inner");
    expect(inner.parentSpanContext?.spanId).toBe(server.spanContext().spanId);
    expect(inner.spanContext().traceState?.serialize()).toBe("vendor=1");
  });

  test("has no part in the trace of whoever happens to be active around the server", async () => {
    await inSpan("outside", {}, async () => void (await get("/later")));
    expect(recording.span("GET /later").parentSpanContext).toBeUndefined();
  });

  test("leaves nothing active behind", async () => {
    await get("/plain/1");
    expect(trace.getSpan(context.active())).toBeUndefined();
  });

  test("shows host, port and user agent, and its query without secrets", async () => {
    await get("/plain/1?a=1&token=abc", { "user-agent": "curl/8" }, "shop.example:8443");
    expect(recording.span("GET /plain/:id").attributes).toMatchObject({
      "server.address": "shop.example",
      "server.port": 8443,
      "user_agent.original": "curl/8",
      "url.query": "a=1&token=REDACTED",
    });
  });

  test.each([
    ["[::1]:81", "::1", 81],
    ["[::1]", "::1", 80],
    ["shop.example", "shop.example", 80],
  ])("to host %s is split into address and port", async (host, address, port) => {
    await get("/plain/1", {}, host);
    expect(recording.span("GET /plain/:id").attributes).toMatchObject({
      "server.address": address,
      "server.port": port,
    });
  });

  // The runtime puts only a Host header that is valid into the URL.
  test.each([
    ["a b", "/x/healthz?q=1"],
    ["user:hunter2@host", "/orders/7?q=1"],
    ["a/b:1", "/x?q=1"],
  ])("with the odd host %p shows its path, and no host", async (host, target) => {
    const server = testApp(config).listen({ port: 0, hostname: "127.0.0.1" });
    try {
      await sendRaw(server.server?.port ?? 0, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      const { attributes } = recording.span("GET");
      expect(attributes).toMatchObject({ "url.path": target.split("?")[0], "url.query": "q=1" });
      expect(Object.keys(attributes)).not.toContain("server.address");
      expect(JSON.stringify(attributes)).not.toContain("hunter2");
    } finally {
      await server.stop(true);
    }
  });

  test("with a method that nobody knows is named HTTP", async () => {
    await testApp(config).handle(new Request("http://host/plain/1", { method: "PROPFIND" }));
    expect(recording.span("HTTP").attributes).toMatchObject({
      "http.request.method": "_OTHER",
      "http.request.method_original": "PROPFIND",
    });
  });

  test("to a probe makes no span, nor does what happens in it", async () => {
    expect((await get("/healthz", { traceparent: TRACEPARENT })).status).toBe(200);
    expect(recording.spans()).toEqual([]);
  });
});

test("two interleaved requests keep their own parents", async () => {
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const app = new Elysia().use(elysiaTelemetry()).get("/wait/:n", async ({ params }) => {
    await inSpan(`before ${params.n}`, {}, async () => undefined);
    await gates[Number(params.n)]?.promise;
    await inSpan(`after ${params.n}`, {}, async () => undefined);
    return params.n;
  });
  const send = (n: number) => {
    const traceparent = `00-${String(n).repeat(31)}f-${String(n).repeat(15)}f-01`;
    return app.handle(new Request(`http://host/wait/${n}`, { headers: { traceparent } }));
  };
  const [first, second] = [send(0), send(1)];
  await Bun.sleep(1);
  gates[1]?.resolve();
  await second;
  gates[0]?.resolve();
  await first;
  for (const n of [0, 1]) {
    const traceId = `${String(n).repeat(31)}f`;
    const own = recording.spans().filter((span) => span.spanContext().traceId === traceId);
    expect(own.map(({ name }) => name)).toEqual([`before ${n}`, `after ${n}`, "GET /wait/:n"]);
    const server = own[2]?.spanContext().spanId;
    expect(own.slice(0, 2).map((span) => span.parentSpanContext?.spanId)).toEqual([server, server]);
  }
});

test("a client that hangs up before the answer leaves a span that ends once", async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const handled = Promise.withResolvers<void>();
  const app = new Elysia()
    .use(elysiaTelemetry())
    .get("/slow", async () => {
      asked.resolve();
      await answer.promise;
      queueMicrotask(handled.resolve);
      return "too late";
    })
    .listen({ port: 0, hostname: "127.0.0.1" });
  try {
    const aborter = new AbortController();
    const call = fetch(`http://127.0.0.1:${app.server?.port}/slow`, { signal: aborter.signal });
    await asked.promise;
    aborter.abort();
    await call.catch(() => undefined);
    answer.resolve();
    await handled.promise;
    while (recording.spans().length === 0) await Bun.sleep(1);
    await Bun.sleep(10); // for a second end, which must not come
    expect(recording.spans().map(({ name }) => name)).toEqual(["GET /slow"]);
  } finally {
    await app.server?.stop(true);
  }
});

const MODES = [
  ["compiled", {}],
  ["not compiled (aot: false)", { aot: false }],
] as const;

describe.each(MODES)("an app that is %s", (_, of) => {
  test("answers with telemetry as it does without, whatever it is asked", async () => {
    const asked: [string, RequestInit?][] = [
      ["/plain/7"],
      ["/plain/7", { method: "HEAD" }],
      ["/plain/7", { method: "DELETE" }],
      ["/later"],
      ["/empty"],
      ["/static"],
      ["/stream"],
      ["/generator"],
      ["/nothing"],
      ["/throws"],
      ["/rejects"],
      ["/refuses"],
      ["/unavailable"],
      ["/healthz"],
      ["/body", { method: "POST", ...json({ a: 1 }) }],
      ["/body", { method: "POST", ...json({ a: "x" }) }],
      ["/body", { method: "POST", ...json("{"), body: "{" }],
    ];
    for (const [path, init] of asked) {
      const [plain, traced] = await Promise.all(
        [none, plugin].map(async (use) => {
          const answer = await testApp(of, use).handle(new Request(`http://host${path}`, init));
          return [answer.status, await answer.text(), answer.headers.toJSON()];
        }),
      );
      expect(traced, path).toEqual(plain);
    }
  });

  test("shows what a handler refused, though it is no Error", async () => {
    await testApp(of).handle(new Request("http://host/refuses"));
    expect(described(recording.span("GET /refuses"))).toMatchObject({
      status: "ERROR",
      message: "too busy, password=REDACTED",
    });
  });

  test("names the route of a request that fails validation, and is no error", async () => {
    const request = new Request("http://host/body", { method: "POST", ...json({ a: "x" }) });
    await testApp(of).handle(request);
    expect(described(recording.span("POST /body"))).toMatchObject({
      status: "UNSET",
      attributes: { "http.route": "/body", "http.response.status_code": 422 },
    });
  });

  test("knows the routes of prefixes, groups, guards and plugins, before it and after it", async () => {
    const early = new Elysia({ prefix: "/early" }).get("/:id", () => "early");
    const late = new Elysia({ prefix: "/late" }).get("/:id", () => "late");
    const app = new Elysia({ ...of, prefix: "/api" })
      .get("/first", () => "first")
      .use(early)
      .use(elysiaTelemetry())
      .use(late)
      .group("/v1", (v1) => v1.get("/users/:id", ({ params }) => params.id))
      .guard({ headers: t.Object({}) }, (guarded) => guarded.get("/guarded", () => "guarded"));
    const paths = ["first", "early/1", "late/1", "v1/users/1", "guarded"];
    for (const path of paths) {
      expect((await app.handle(new Request(`http://host/api/${path}`))).status).toBe(200);
    }
    expect(recording.spans().map(({ name }) => name)).toEqual([
      "GET /api/first",
      "GET /api/early/:id",
      "GET /api/late/:id",
      "GET /api/v1/users/:id",
      "GET /api/guarded",
    ]);
  });

  test("that is listened to has one span a request, for HEAD and WebSockets as well", async () => {
    await using cleanUp = new AsyncDisposableStack();
    const app = new Elysia(of)
      .use(elysiaTelemetry())
      .use(elysiaTelemetry())
      .get("/users/:id", ({ params }) => params.id)
      .ws("/chat", { message: (socket, text) => void socket.send(text) })
      .listen({ port: 0, hostname: "127.0.0.1" });
    cleanUp.defer(() => void app.server?.stop(true));
    const url = `127.0.0.1:${app.server?.port}`;
    expect(await (await fetch(`http://${url}/users/7`)).text()).toBe("7");
    await fetch(`http://${url}/users/7`, { method: "HEAD" });
    const socket = new WebSocket(`ws://${url}/chat`);
    const echoed = once(socket, "message");
    await once(socket, "open");
    socket.send("hello");
    expect(await echoed).toMatchObject({ data: "hello" });
    socket.close();
    expect(recording.spans().map(({ name }) => name)).toEqual([
      "GET /users/:id",
      expect.stringMatching(/^HEAD/), // which an app that is not compiled answers with 404
      expect.stringMatching(/^GET/),
    ]);
    const [, , upgraded] = recording.spans();
    expect(upgraded?.attributes["http.response.status_code"]).toBe(101);
  });
});

test("a mounted app belongs to the request of the app it is mounted in", async () => {
  const users = new Elysia().use(elysiaTelemetry()).get("/users/:id", ({ params }) => params.id);
  const app = new Elysia()
    .use(elysiaTelemetry())
    .mount("/api", users)
    .mount("/plain", () => new Response("plain"))
    .mount("/broken", (request) =>
      traceRequest(request, () => {
        throw new Error("broken");
      }),
    );
  const answer = await app.handle(new Request("http://host/api/users/7"));
  expect(await answer.text()).toBe("7");
  expect((await app.handle(new Request("http://host/api/nothing"))).status).toBe(404);
  await app.handle(new Request("http://host/plain/x"));
  await app.handle(new Request("http://host/broken/x"));
  expect(recording.spans().map(({ name }) => name)).toEqual([
    "GET /api/users/:id",
    "GET /api/*",
    "GET /plain/*",
    "GET /broken/*",
  ]);
});

test("a failed validation that becomes a 500 shows no value", async () => {
  const app = new Elysia()
    .use(elysiaTelemetry())
    .onError(({ status }) => status(500, "sorry"))
    .post("/pay", () => "paid", { body: t.Object({ card: t.String(), code: t.Number() }) });
  const body = JSON.stringify({ card: "4111 1111", code: "leak-me" });
  const headers = { "content-type": "application/json" };
  await app.handle(new Request("http://host/pay", { method: "POST", headers, body }));
  const { message, attributes } = described(recording.span("POST /pay"));
  expect(message).toBe("validation of body failed: /code");
  expect(JSON.stringify(attributes)).not.toMatch(/4111|leak-me/);
});

test("what the app says of an error goes before the error's own text", async () => {
  const app = new Elysia()
    .use(elysiaTelemetry())
    .onError(() => {
      noteServerError("the stock service is away");
      return new Response("sorry", { status: 502 });
    })
    .get("/", () => {
      throw new Error("ECONNREFUSED");
    });
  await app.handle(new Request("http://host/"));
  expect(recording.span("GET /").status.message).toBe("the stock service is away");
});

test("what is untraced may be told by a function, and by default everything is traced", async () => {
  const skip = elysiaTelemetry({ untraced: (request) => request.headers.has("x-probe") });
  const app = testApp({}, skip);
  await app.handle(new Request("http://host/healthz", { headers: { "x-probe": "1" } }));
  expect(recording.spans()).toEqual([]);
  await testApp({}, elysiaTelemetry()).handle(new Request("http://host/healthz"));
  expect(recording.spans().map(({ name }) => name)).toEqual(["probe", "GET /healthz"]);
});

function once(socket: WebSocket, event: string): Promise<Event> {
  return new Promise((resolve) => socket.addEventListener(event, resolve, { once: true }));
}

const none = ((app: Elysia) => app) as typeof plugin;
const plugin = elysiaTelemetry({ untraced });

function json(body: unknown): RequestInit {
  return { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}
