import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { Hono, type MiddlewareHandler } from "hono";
import { HTTPException } from "hono/http-exception";
import { upgradeWebSocket, websocket } from "hono/bun";
import { stream } from "hono/streaming";
import { honoTelemetry } from "./hono.ts";
import { inSpan } from "../span.ts";
import { described, recordSpans, type SpanRecording } from "../testing/record-spans.ts";

let recording: SpanRecording;
beforeEach(() => {
  recording = recordSpans();
});
afterEach(() => recording.stop());

/** An app with one route of each kind that a span must survive. */
function testApp(telemetry: MiddlewareHandler = honoTelemetry({ untraced: ["/healthz"] })) {
  const users = new Hono()
    .get("/:id", (c) => c.text(c.req.param("id")))
    .get("/:id/boom", () => {
      throw new RangeError("a user, password=hunter2");
    })
    .onError((error, c) => c.text(`users: ${error.name}`, 500));
  const app = new Hono();
  app.use(telemetry);
  app.use("/admin/*", async (c, next) => {
    if (c.req.query("who") === undefined) return c.text("who are you?", 401);
    await next();
  });
  app.get("/plain/:id", (c) => c.json({ id: c.req.param("id") }));
  app.get("/nested", (c) => inSpan("inner", {}, async () => c.text("done")));
  app.get("/throws", () => {
    throw new RangeError("out of range, password=hunter2");
  });
  app.get("/refuses/:status", (c) => {
    throw new HTTPException(Number(c.req.param("status")) as 400, { message: "refused" });
  });
  app.get("/unavailable", (c) => c.text("busy", 503));
  app.get("/stream", (c) =>
    stream(c, async (out) => {
      await out.write("a");
      await out.write("b");
    }),
  );
  app.get("/admin/users", (c) => c.text("all"));
  app.get("/healthz", (c) => inSpan("probe", {}, async () => c.text("ok")));
  app.all("/any/*", (c) => c.text("any"));
  app.basePath("/v1").get("/items/:id", (c) => c.text("item"));
  app.route("/users", users);
  app.mount("/other", () => new Response("other"));
  app.notFound((c) => c.text("nothing here", 404));
  return app;
}

test.each([
  ["/plain/7", 200, "GET /plain/:id"],
  ["/stream", 200, "GET /stream"],
  ["/admin/users", 401, "GET /admin/users"],
  ["/admin/users?who=1", 200, "GET /admin/users"],
  ["/admin/nothing", 401, "GET /admin/*"],
  ["/any/x/y", 200, "GET /any/*"],
  ["/v1/items/7", 200, "GET /v1/items/:id"],
  ["/users/7", 200, "GET /users/:id"],
  ["/other/x", 200, "GET /other/*"],
  ["/refuses/409", 409, "GET /refuses/:status"],
  ["/nothing", 404, "GET"],
  ["/admin/nothing?who=1", 404, "GET"],
])("%s answered %d has one span %s, which is no error", async (path, status, name) => {
  const answer = await testApp().request(`http://host:81${path}`);
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
        "url.path": path.split("?")[0],
        "url.scheme": "http",
        "server.address": "host",
        "server.port": 81,
        "http.response.status_code": status,
        ...(path.includes("?") && { "url.query": path.split("?")[1] }),
        ...(name !== "GET" && { "http.route": name.slice(4) }),
      },
    },
  ]);
});

test.each([
  ["/throws", 500, "GET /throws", "out of range, password=REDACTED"],
  ["/users/7/boom", 500, "GET /users/:id/boom", "a user, password=REDACTED"],
  ["/refuses/503", 503, "GET /refuses/:status", "refused"],
  ["/unavailable", 503, "GET /unavailable", undefined],
])(
  "%s answered %d is an error with the text of what was thrown",
  async (path, status, name, message) => {
    const app = testApp().onError((error, c) =>
      error instanceof HTTPException ? error.getResponse() : c.text("sorry", 500),
    );
    expect((await app.request(path)).status).toBe(status);
    expect(recording.spans().map(described)).toEqual([
      expect.objectContaining({
        name,
        status: "ERROR",
        message,
        attributes: expect.objectContaining({
          "error.type": String(status),
          "http.response.status_code": status,
        }),
      }),
    ]);
  },
);

function early() {
  return new Hono().use(honoTelemetry()).use(async (c, next) => {
    if (c.req.path === "/early") return c.text("early");
    return next();
  });
}

test("a handler for everything is a route, a middleware for everything is none", async () => {
  await early().request("/early");
  await early()
    .all("*", (c) => c.text("whatever"))
    .request("/late");
  expect(recording.spans().map(({ name }) => name)).toEqual(["GET", "GET /*"]);
});

test("what is thrown and is no Error goes on as without telemetry, and is on the span", async () => {
  const app = new Hono().use(honoTelemetry()).get("/", () => {
    throw "just text";
  });
  await expect((async () => app.request("/"))()).rejects.toBe("just text");
  expect(described(recording.span("GET /"))).toMatchObject({
    status: "ERROR",
    message: "just text",
    attributes: { "http.route": "/" },
  });
});

test("an app that is mounted in another, both traced, is one span with the whole route", async () => {
  const inner = new Hono().use(honoTelemetry()).get("/thing/:id", (c) => c.text("thing"));
  const app = new Hono().use(honoTelemetry());
  app.mount("/inner", inner.fetch);
  app.mount("/plain", () => new Response("plain"));
  const top = new Hono().use(honoTelemetry());
  top.mount("/top", app.fetch);
  expect(await (await app.request("/inner/thing/3")).text()).toBe("thing");
  await app.request("/plain/x");
  expect(await (await top.request("/top/inner/thing/3")).text()).toBe("thing");
  expect(recording.spans().map(({ name }) => name)).toEqual([
    "GET /inner/thing/:id",
    "GET /plain/*",
    "GET /top/inner/thing/:id",
  ]);
});

test("a request that an app makes of itself is none of a mounted app", async () => {
  const app = new Hono().use(honoTelemetry());
  app.get("/part/:id", (c) => c.text("part"));
  app.get("/whole", async () => app.request("/part/1"));
  app.get("/", (c) => c.text("home"));
  app.get("/whole/home", async () => app.request("http://elsewhere/"));
  expect(await (await app.request("/whole")).text()).toBe("part");
  const headers = { host: "host" };
  expect(await (await app.request("/whole/home", { headers })).text()).toBe("home");
  expect(recording.spans().map(({ name }) => name)).toEqual([
    "GET /part/:id",
    "GET /whole",
    "GET /",
    "GET /whole/home",
  ]);
});

test("a WebSocket's request is answered 101", async () => {
  const app = new Hono().use(honoTelemetry());
  app.get(
    "/chat",
    upgradeWebSocket(() => ({
      onMessage: (event, socket) => void socket.send(String(event.data)),
    })),
  );
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: app.fetch, websocket });
  try {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/chat`);
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    socket.close();
    // Without a WebSocket the handler has no answer.
    expect((await fetch(`http://127.0.0.1:${server.port}/chat`)).status).toBe(404);
  } finally {
    await server.stop(true);
  }
  const statuses = recording
    .spans()
    .map(({ name, attributes }) => [name, attributes["http.response.status_code"]]);
  expect(statuses).toEqual([
    ["GET /chat", 101],
    [expect.stringMatching(/^GET/), 404],
  ]);
});

test("a span made in a handler is below the request's, which is below its caller's", async () => {
  const traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
  await testApp().request("/nested", { headers: { traceparent } });
  const server = recording.span("GET /nested");
  expect(server.parentSpanContext?.spanId).toBe("0123456789abcdef");
  expect(recording.span("inner").parentSpanContext?.spanId).toBe(server.spanContext().spanId);
});

test("what is untraced makes no span, nor does what happens in it", async () => {
  expect(await (await testApp().request("/healthz")).text()).toBe("ok");
  expect(recording.spans()).toEqual([]);
});

const none: MiddlewareHandler = async (_c, next) => next();

test("an app answers with telemetry as it does without", async () => {
  // Hono's own error handler writes there.
  const log = spyOn(console, "error").mockImplementation(() => undefined);
  const paths = [
    "/plain/7",
    "/stream",
    "/throws",
    "/refuses/409",
    "/refuses/503",
    "/users/7",
    "/users/7/boom",
    "/admin/users",
    "/other/x",
    "/nothing",
    "/healthz",
  ];
  for (const path of paths) {
    for (const method of ["GET", "HEAD", "POST"]) {
      const [plain, traced] = await Promise.all(
        [none, honoTelemetry()].map(async (telemetry) => {
          const answer = await testApp(telemetry).request(path, { method });
          return [answer.status, await answer.text(), answer.headers.toJSON()];
        }),
      );
      expect(traced, `${method} ${path}`).toEqual(plain);
    }
  }
  expect(log).toHaveBeenCalled();
  log.mockRestore();
});
