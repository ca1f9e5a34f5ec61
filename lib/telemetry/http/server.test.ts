import { afterEach, beforeEach, expect, test } from "bun:test";
import { noteRoute, noteServerError, traceRequest } from "./server.ts";
import { inSpan } from "../span.ts";
import { described, recordSpans, type SpanRecording } from "../testing/record-spans.ts";

let recording: SpanRecording;
beforeEach(() => {
  recording = recordSpans();
});
afterEach(() => recording.stop());

const request = (path = "/a", init?: RequestInit) => new Request(`https://host${path}`, init);

const withSpan = () => inSpan("below", {}, async () => new Response());
const withRoute = () => {
  noteRoute("/users/:id");
  return new Response();
};

test("any function that answers a request becomes a SERVER span, and answers as before", async () => {
  const response = new Response("yes", { status: 201 });
  const asked = request("/users/7?token=abc");
  let seen: Request | undefined;
  const answer = traceRequest(asked, (given) => {
    seen = given;
    noteRoute("/users/:id");
    return response;
  });
  expect(answer).toBe(response);
  expect(seen).toBe(asked);
  expect(recording.spans().map(described)).toEqual([
    {
      name: "GET /users/:id",
      kind: "SERVER",
      status: "UNSET",
      message: undefined,
      attributes: {
        "http.request.method": "GET",
        "http.route": "/users/:id",
        "http.response.status_code": 201,
        "server.address": "host",
        "server.port": 443,
        "url.path": "/users/7",
        "url.query": "token=REDACTED",
        "url.scheme": "https",
      },
    },
  ]);
});

test("an answer to a WebSocket's request that is none is what it is", async () => {
  const upgrade = { connection: "upgrade", upgrade: "websocket" };
  await traceRequest(request("/a", { headers: upgrade }), () => new Response(new Uint8Array([1])));
  await traceRequest(request("/a", { headers: { ...upgrade, "sec-websocket-key": "x" } }), () => {
    return Response.json({});
  });
  await traceRequest(request("/a", { headers: { ...upgrade, "sec-websocket-key": "x" } }), () => {
    return undefined;
  });
  const statuses = recording
    .spans()
    .map(({ attributes }) => attributes["http.response.status_code"]);
  expect(statuses).toEqual([200, 200, 101]);
});

test("a caller's long name is on its span, and is not kept", () => {
  const agent = "x".repeat(3_000);
  traceRequest(request("/a", { headers: { "user-agent": agent } }), () => new Response());
  traceRequest(request("/a", { headers: { "user-agent": agent } }), () => new Response());
  for (const { attributes } of recording.spans()) {
    expect(attributes["user_agent.original"]).toBe(agent);
  }
});

test.each([
  [
    "throws",
    () => {
      throw new RangeError("password=hunter2 is out of range");
    },
  ],
  ["rejects", () => Promise.reject(new RangeError("password=hunter2 is out of range"))],
])("a handler that %s: its error is thrown on, and its text is on the span", async (_, handle) => {
  const failing = async () => await traceRequest(request(), handle as () => Promise<Response>);
  await expect(failing()).rejects.toThrow("password=hunter2 is out of range");
  expect(recording.spans().map(described)).toEqual([
    expect.objectContaining({
      name: "GET",
      status: "ERROR",
      message: "password=REDACTED is out of range",
      attributes: expect.objectContaining({
        "error.type": "500",
        "http.response.status_code": 500,
      }),
    }),
  ]);
});

test("what was noted is the text of a 5xx, and of no other answer", async () => {
  for (const status of [502, 404]) {
    await traceRequest(request(`/${status}`), async () => {
      noteServerError("the stock service is away");
      return new Response(null, { status });
    });
  }
  expect(recording.spans().map((span) => described(span).message)).toEqual([
    "the stock service is away",
    undefined,
  ]);
});

test("nothing is left out unless it is said; what is left out has no spans below it either", async () => {
  await traceRequest(request("/healthz"), withSpan);
  expect(recording.spans().map(({ name }) => name)).toEqual(["below", "GET"]);
  await traceRequest(request("/healthz"), withSpan, { untraced: ["/healthz"] });
  await traceRequest(request("/x"), withSpan, { untraced: ({ url }) => url.endsWith("/x") });
  expect(recording.spans()).toHaveLength(2);
});

test("a request that is handed on within a request is one span, another one that is made is its own", async () => {
  await traceRequest(request("/api/users/7"), async (outer) => {
    noteRoute("/api/*");
    return traceRequest(new Request("https://host/users/7", outer), withRoute);
  });
  expect(recording.spans().map(({ name }) => name)).toEqual(["GET /api/users/:id"]);
  await traceRequest(request("/caller"), async () => {
    await traceRequest(request("/users/7", { method: "POST" }), withRoute);
    return new Response();
  });
  expect(recording.spans().map(({ name }) => name)).toEqual([
    "GET /api/users/:id",
    "POST /users/:id",
    "GET",
  ]);
});

test("a request that comes after its span's end, in what went on in the background, has its own", async () => {
  let later: Promise<unknown> | undefined;
  const ended = Promise.withResolvers<void>();
  await traceRequest(request("/first"), async () => {
    later = ended.promise.then(() => traceRequest(request("/second"), () => new Response()));
    return new Response();
  });
  ended.resolve();
  await later;
  expect(recording.spans().map(({ attributes }) => attributes["url.path"])).toEqual([
    "/first",
    "/second",
  ]);
});

test("outside a request there is nothing to note, and no error", () => {
  noteRoute("/a");
  noteServerError(new Error("lost"));
  expect(recording.spans()).toEqual([]);
});

test("without the SDK the context that came in is still passed on", async () => {
  const script = `
    import { startTelemetry } from "${import.meta.dir}/../index.ts";
    import { traceRequest } from "${import.meta.dir}/server.ts";
    import { injectedHeaders } from "${import.meta.dir}/../propagation.ts";
    startTelemetry({ name: "off", version: "0" });
    const headers = { traceparent: "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01" };
    const request = new Request("http://host/a", { headers });
    const answer = await traceRequest(request, async () => Response.json(injectedHeaders()));
    console.log(await answer.text());
  `;
  const child = Bun.spawn([process.execPath, "-e", script], {
    env: { ...process.env, OTEL_SDK_DISABLED: "true" },
    cwd: import.meta.dir,
    stdout: "pipe",
  });
  expect(JSON.parse(await child.stdout.text())).toEqual({
    traceparent: "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
  });
});
