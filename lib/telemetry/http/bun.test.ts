import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { SpanStatusCode } from "@opentelemetry/api";
import { Hono } from "hono";
import { traced } from "./bun.ts";
import { honoTelemetry } from "./hono.ts";
import { inSpan } from "../span.ts";
import { described, recordSpans, type SpanRecording } from "../testing/record-spans.ts";

const TRACEPARENT = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";

let recording: SpanRecording;
const cleanUps: (() => unknown)[] = [];
beforeEach(() => {
  recording = recordSpans();
});
afterEach(async () => {
  recording.stop();
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

type Options = Bun.Serve.Options<{ name: string }, string>;

function serve<R extends string>(options: Bun.Serve.Options<{ name: string }, R>) {
  const server = Bun.serve(options);
  cleanUps.push(() => server.stop(true));
  return server;
}

/** One route of each kind that Bun.serve takes. */
const served = {
  hostname: "127.0.0.1",
  port: 0,
  development: false,
  routes: {
    "/users/:id": (request: Bun.BunRequest<"/users/:id">) => {
      request.cookies.set("seen", request.params.id);
      return Response.json({ ...request.params, cookie: request.cookies.get("asked") });
    },
    "/items": {
      GET: async () => Response.json([]),
      POST: async (request: Request) => new Response(await request.text(), { status: 201 }),
      PUT: new Response("static put"),
    },
    "/files/*": () => new Response("file"),
    "/static": new Response("static"),
    "/off": false,
    "/nested": () => inSpan("inner", {}, async () => new Response("done")),
    "/throws": () => {
      throw new RangeError("out of range, password=hunter2");
    },
    "/rejects": async () => {
      await Bun.sleep(1);
      throw new RangeError("out of range, password=hunter2");
    },
    "/returns": () => new RangeError("out of range, password=hunter2") as unknown as Response,
    "/teapot": () => {
      throw Object.assign(new Error("no coffee"), { status: 418 });
    },
    "/unavailable": () => new Response("busy", { status: 503 }),
  },
  fetch(request: Request) {
    return new Response(`nothing at ${new URL(request.url).pathname}`, { status: 404 });
  },
  error(error: Error & { status?: number }) {
    return new Response(`error: ${error.name}`, { status: error.status ?? 500 });
  },
} as unknown as Options;

async function asked(url: URL, path: string, init?: RequestInit) {
  const answer = await fetch(new URL(path, url), { ...init, redirect: "manual" });
  const { date: _, ...headers } = answer.headers.toJSON();
  return [answer.status, await answer.text(), headers];
}

describe("a request to traced options", () => {
  test.each([
    ["GET", "/users/7", 200, "GET /users/:id"],
    ["GET", "/items", 200, "GET /items"],
    ["POST", "/items", 201, "POST /items"],
    ["GET", "/files/a/b", 200, "GET /files/*"],
    ["GET", "/nothing", 404, "GET"],
    ["GET", "/off", 404, "GET"],
    ["GET", "/teapot", 418, "GET /teapot"],
  ])("%s %s answered %d has one span %s, which is no error", async (method, path, status, name) => {
    const server = serve(traced(served));
    expect((await asked(server.url, path, { method }))[0]).toBe(status);
    expect(recording.spans().map(described)).toEqual([
      {
        name,
        kind: "SERVER",
        status: "UNSET",
        message: undefined,
        attributes: {
          "http.request.method": method,
          "url.path": path,
          "url.scheme": "http",
          "server.address": "127.0.0.1",
          "server.port": server.port ?? 0,
          "user_agent.original": expect.stringContaining("Bun"),
          "http.response.status_code": status,
          ...(name.includes("/") && { "http.route": name.split(" ")[1] }),
        },
      },
    ]);
  });

  test.each(["/throws", "/rejects", "/returns"])(
    "%s: the error's text is on the span, and the server's own `error` answers",
    async (path) => {
      const server = serve(traced(served));
      expect((await asked(server.url, path)).slice(0, 2)).toEqual([500, "error: RangeError"]);
      expect(recording.spans().map(described)).toEqual([
        expect.objectContaining({
          name: `GET ${path}`,
          status: "ERROR",
          message: "out of range, password=REDACTED",
          attributes: expect.objectContaining({ "error.type": "500" }),
        }),
      ]);
    },
  );

  test("is below its caller's span, and what its handler does below it", async () => {
    const server = serve(traced(served));
    await asked(server.url, "/nested", { headers: { traceparent: TRACEPARENT } });
    const span = recording.span("GET /nested");
    expect(span.parentSpanContext?.spanId).toBe("0123456789abcdef");
    expect(recording.span("inner").parentSpanContext?.spanId).toBe(span.spanContext().spanId);
  });

  test("is answered as without, whatever it asks for", async () => {
    const plain = serve(served);
    const server = serve(traced(served));
    const paths = ["/users/7", "/items", "/files/a", "/static", "/off", "/nested", "/throws"];
    for (const path of [...paths, "/rejects", "/returns", "/teapot", "/unavailable", "/nothing"]) {
      for (const method of ["GET", "HEAD", "POST", "PUT"]) {
        const init = { method, headers: { cookie: "asked=1" } };
        const expected = await asked(plain.url, path, init);
        expect(await asked(server.url, path, init), `${method} ${path}`).toEqual(expected);
      }
    }
  });

  test("that an app with telemetry of its own answers is one span with the app's route", async () => {
    const app = new Hono().use(honoTelemetry()).get("/api/users/:id", (c) => c.text("user"));
    const answer = (request: Request) => app.fetch(request);
    const server = serve(traced({ port: 0, routes: { "/api/*": answer }, fetch: answer }));
    await asked(server.url, "/api/users/7");
    await asked(server.url, "/api/nothing");
    await asked(server.url, "/elsewhere");
    expect(recording.spans().map(({ name }) => name)).toEqual([
      "GET /api/users/:id",
      "GET /api/*",
      "GET",
    ]);
  });

  test("that is untraced makes no span", async () => {
    const server = serve(traced(served, { untraced: ["/nested"] }));
    await asked(server.url, "/nested");
    expect(recording.spans()).toEqual([]);
  });
});

describe("a handler of traced options", () => {
  test("is called with the request, the server, and the server as `this`", async () => {
    const seen: unknown[] = [];
    const server = serve(
      traced({
        port: 0,
        fetch(this: unknown, request, own) {
          seen.push(this === own, own.requestIP(request) !== null);
          return new Response();
        },
      }),
    );
    await fetch(server.url);
    expect(seen).toEqual([true, true]);
  });

  test("may upgrade to a WebSocket, in `fetch` and in a route", async () => {
    const server = serve(
      traced({
        port: 0,
        routes: {
          "/chat/:name": (request, own) => {
            if (own.upgrade(request, { data: { name: request.params.name } })) return;
            return new Response("no", { status: 400 });
          },
        },
        fetch(request, own) {
          if (own.upgrade(request, { data: { name: "root" } })) return undefined;
          return new Response("no", { status: 400 });
        },
        websocket: {
          data: {} as { name: string },
          message: (socket, text) => void socket.send(`${socket.data.name}: ${text}`),
        },
      }),
    );
    for (const [path, name] of [
      ["/chat/ann", "ann"],
      ["/", "root"],
    ]) {
      const socket = new WebSocket(new URL(path ?? "", server.url).href.replace("http", "ws"));
      const answer = once(socket, "message");
      await once(socket, "open");
      socket.send("hello");
      expect(await answer).toMatchObject({ data: `${name}: hello` });
      socket.close();
    }
    expect(
      recording
        .spans()
        .map(({ name, attributes }) => [name, attributes["http.response.status_code"]]),
    ).toEqual([
      ["GET /chat/:name", 101],
      ["GET", 101],
    ]);
  });

  test("keeps its types: a route's parameters, and what goes along with a WebSocket", () => {
    const options = traced<undefined, "/a/:b">({
      routes: { "/a/:b": (request) => new Response(request.params.b satisfies string) },
      // @ts-expect-error a route without that parameter
      fetch: (request: Bun.BunRequest<"/a">) => new Response(request.params.b),
    });
    expect(Object.keys(options)).toEqual(["routes", "fetch"]);
  });
});

describe("an error that the server's own `error` makes no response of", () => {
  test.each([
    ["throws again", `throw new Error("second")`],
    ["answers nothing", "return undefined"],
  ])("where it %s: Bun answers as without, and asks it once", async (_, error) => {
    // A process of its own: in a test's process Bun takes what a server throws for the test's failure.
    const script = `
      import { traced } from "${import.meta.dir}/bun.ts";
      import { recordSpans } from "${import.meta.dir}/../testing/record-spans.ts";
      const recording = recordSpans();
      const outcomes = [];
      for (const around of [(options) => options, traced]) {
        let asked = 0;
        const server = Bun.serve(around({
          port: 0,
          development: false,
          fetch() { throw new Error("first, password=hunter2") },
          error() { asked++; ${error} },
        }));
        const answer = await fetch(server.url);
        outcomes.push({ status: answer.status, text: await answer.text(), asked });
        await server.stop(true);
      }
      console.log(JSON.stringify({ outcomes, spans: recording.spans().map(({ status }) => status) }));
    `;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "ignore" });
    const { outcomes, spans } = JSON.parse(await child.stdout.text());
    expect(outcomes[0]).toMatchObject({ status: 500, asked: 1 });
    expect(outcomes[1]).toEqual(outcomes[0]);
    expect(spans).toEqual([{ code: SpanStatusCode.ERROR, message: "first, password=REDACTED" }]);
  });
});

test("options that are not handlers stay as they are", () => {
  const websocket = { message: () => undefined };
  const rest = { unix: "/run/x.sock", development: false, maxRequestBodySize: 5, websocket };
  const routes = { "/static": new Response("x"), "/dir/*": { dir: "public" } };
  const options = traced({ ...rest, routes } as unknown as Options) as typeof rest & {
    routes: typeof routes;
  };
  expect(options).toMatchObject(rest);
  expect(options.websocket).toBe(websocket);
  expect(options.routes["/static"]).toBe(routes["/static"]);
  expect(options.routes["/dir/*"]).toBe(routes["/dir/*"]);
  expect(Object.keys(options)).not.toContain("error");
  expect(Object.keys(options)).not.toContain("fetch");
});

function once(socket: WebSocket, event: string): Promise<Event> {
  return new Promise((resolve) => socket.addEventListener(event, resolve, { once: true }));
}
