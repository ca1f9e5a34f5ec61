import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { described, recordSpans, type SpanRecording } from "#lib/telemetry/testing/record-spans.ts";
import { createBaseApp, type BaseAppOptions } from "./app.ts";
import { remainingMs, TIMEOUT_HEADER } from "./deadline.ts";
import { ConflictError, UnavailableError } from "./errors.ts";

let recording: SpanRecording;
beforeEach(() => {
  recording = recordSpans();
});
afterEach(() => recording.stop());

function appWith(options: Partial<BaseAppOptions> = {}) {
  return createBaseApp({
    ready: {},
    scrape: async () => "# metrics\n",
    requestsMax: 100,
    stopping: () => false,
    ...options,
  });
}

type App = ReturnType<typeof appWith>;

async function ask(app: App, path: string, init?: RequestInit) {
  const response = await app.handle(new Request(`http://host${path}`, init));
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text ? JSON.parse(text) : undefined) as Record<string, unknown>,
  };
}

describe("readiness", () => {
  test("asks for everything anew each time, and says what is wrong", async () => {
    let wrong: string | undefined = "the database is away, password=hunter2";
    const app = appWith({
      ready: {
        postgres: async () => {
          if (wrong) throw new Error(wrong);
        },
        kafka: async () => undefined,
      },
      info: () => ({ outbox: 3 }),
    });
    const away = await ask(app, "/readyz");
    expect(away.status).toBe(503);
    expect(away.body).toEqual({
      status: "not ready",
      postgres: expect.stringContaining("the database is away"),
      kafka: "ok",
      outbox: 3,
    });
    expect(JSON.stringify(away.body)).not.toContain("hunter2");
    wrong = undefined;
    const back = await ask(app, "/readyz");
    expect({ status: back.status, body: back.body }).toEqual({
      status: 200,
      body: { status: "ready", postgres: "ok", kafka: "ok", outbox: 3 },
    });
  });

  test("does not wait for ever for what hangs", async () => {
    const app = appWith({ ready: { hanging: () => new Promise(() => {}) }, readyTimeoutMs: 50 });
    const { status, body } = await ask(app, "/readyz");
    expect(status).toBe(503);
    expect(body["hanging"]).toContain("no answer within");
  });

  test("ends when the service stops, while it lives on", async () => {
    const app = appWith({ stopping: () => true });
    expect((await ask(app, "/readyz")).status).toBe(503);
    expect((await ask(app, "/healthz")).status).toBe(200);
  });
});

describe("an error", () => {
  test("of ours is answered with its status, its words and its headers", async () => {
    const app = appWith();
    app
      .get("/conflict", () => {
        throw new ConflictError("it is shipped already");
      })
      .get("/later", async () => {
        throw new UnavailableError("the database does not answer");
      });
    const conflict = await ask(app, "/conflict");
    expect({ status: conflict.status, body: conflict.body }).toEqual({
      status: 409,
      body: { error: "it is shipped already" },
    });
    const later = await ask(app, "/later");
    expect(later.status).toBe(503);
    expect(later.headers.get("retry-after")).toBe("1");
  });

  test.each([
    ["an Error", new Error("SELECT secret FROM vault")],
    ["a bug", new TypeError("undefined is not a function (near '...vault...')")],
    ["a text", "vault"],
  ])("of nobody's (%s) is a 500 that tells nothing; the span tells", async (_, thrown) => {
    const app = appWith();
    app.get("/broken", () => {
      // oxlint-disable-next-line no-throw-literal
      throw thrown;
    });
    const { status, body } = await ask(app, "/broken");
    expect({ status, body }).toEqual({
      status: 500,
      body: { error: "something went wrong on our side" },
    });
    expect(described(recording.span("GET /broken"))).toMatchObject({
      status: "ERROR",
      message: expect.stringContaining("vault"),
      attributes: { "error.type": "500" },
    });
  });
});

describe("more requests than are handled at a time", () => {
  test("are answered 503 at once, traced, and taken again when one is done; probes are not counted", async () => {
    const app = appWith({ requestsMax: 2 });
    const gate = Promise.withResolvers<void>();
    app.get("/slow", async () => {
      await gate.promise;
      return "done";
    });
    const slow = [1, 2].map(() => app.handle(new Request("http://host/slow")));
    const refused = await ask(app, "/slow");
    expect({ status: refused.status, body: refused.body }).toEqual({
      status: 503,
      body: { error: expect.stringContaining("too many requests") },
    });
    expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
    expect((await ask(app, "/healthz")).status).toBe(200);
    gate.resolve();
    expect((await Promise.all(slow)).map(({ status }) => status)).toEqual([200, 200]);
    expect((await app.handle(new Request("http://host/slow"))).status).toBe(200);
    const statuses = recording
      .spans()
      .map(({ attributes }) => attributes["http.response.status_code"]);
    expect(statuses.sort()).toEqual([200, 200, 200, 503]);
  });

  test("that fail give their place back as well", async () => {
    const app = appWith({ requestsMax: 1 });
    app.get("/broken", async () => Promise.reject(new Error("no")));
    for (let n = 0; n < 3; n++) expect((await ask(app, "/broken")).status).toBe(500);
    expect((await ask(app, "/nothing")).status).toBe(404);
  });

  test("do not include those whose bodies are still on their way", async () => {
    const app = appWith({ requestsMax: 1 });
    app.post("/take", ({ body }) => Response.json(body)).get("/quick", () => "1");
    let send: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => void (send = controller),
    });
    const taking = app.handle(new Request("http://host/take", { method: "POST", body }));
    await Bun.sleep(1);
    expect((await ask(app, "/quick")).status).toBe(200);
    send?.enqueue(new TextEncoder().encode('"sent"'));
    send?.close();
    expect(await (await taking).json()).toBe("sent");
  });
});

describe("a caller's deadline", () => {
  const headers = { [TIMEOUT_HEADER]: "1000" };

  test("bounds the calls made for it", async () => {
    const app = appWith();
    app.get("/left", () => Response.json({ left: remainingMs(5_000) }));
    const { left } = (await ask(app, "/left", { headers })).body;
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(1_000);
    expect((await ask(app, "/left")).body).toEqual({ left: 5_000 });
  });

  test("that is over, or malformed: the first is a 504 before any call, the second is ignored", async () => {
    const app = appWith();
    app.get("/left", () => Response.json({ left: remainingMs(5_000) }));
    expect((await ask(app, "/left", { headers: { [TIMEOUT_HEADER]: "0" } })).status).toBe(504);
    for (const text of ["-1", "1e3", "soon", ""]) {
      const { body } = await ask(app, "/left", { headers: { [TIMEOUT_HEADER]: text } });
      expect(body, text).toEqual({ left: 5_000 });
    }
  });

  test("does not count where strangers call", async () => {
    const app = appWith({ isEdge: true });
    app.get("/left", () => Response.json({ left: remainingMs(5_000) }));
    expect((await ask(app, "/left", { headers: { [TIMEOUT_HEADER]: "0" } })).body).toEqual({
      left: 5_000,
    });
  });
});

test("a path with a slash behind it is another path, where there is nothing", async () => {
  const app = appWith();
  app.get("/orders", () => "[]").get("/orders/:id", () => "{}");
  for (const path of ["/healthz/", "/readyz/", "/metrics/", "/orders/", "/orders/1/"]) {
    const { status, body } = await ask(app, path);
    expect({ status, body }, path).toEqual({
      status: 404,
      body: { error: "there is nothing at this path" },
    });
    expect((await ask(app, path, { method: "DELETE" })).status, path).toBe(404);
  }
  expect((await ask(app, "/orders/1")).status).toBe(200);
});

test("while the service stops, each answer ends its connection", async () => {
  let stopping = false;
  const app = appWith({ stopping: () => stopping });
  app.get("/a", () => "{}");
  expect((await ask(app, "/a")).headers.get("connection")).toBeNull();
  stopping = true;
  expect((await ask(app, "/a")).headers.get("connection")).toBe("close");
});
