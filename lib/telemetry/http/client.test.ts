import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { context, propagation } from "@opentelemetry/api";
import { tracedFetch } from "./client.ts";
import { inSpan } from "../span.ts";
import { described, recordSpans, type SpanRecording } from "../testing/record-spans.ts";

let recording: SpanRecording;
const cleanUps: (() => unknown)[] = [];
beforeEach(() => {
  recording = recordSpans();
});
afterEach(async () => {
  recording.stop();
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

function serve(answer: (request: Request) => Response | Promise<Response>): string {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
  cleanUps.push(() => server.stop(true));
  return `http://127.0.0.1:${server.port}`;
}

const GET = { method: "GET", timeoutMs: 5_000 } as const;

describe("a call", () => {
  test("is a CLIENT span under the active one, and carries its context in its headers", async () => {
    let seen: Headers | undefined;
    const url = serve((request) => {
      seen = request.headers;
      return Response.json({ ok: true });
    });
    const answer = await inSpan("around", {}, async () => tracedFetch(`${url}/a?b=c`, GET));
    expect({ status: answer.status, body: answer.body }).toEqual({
      status: 200,
      body: '{"ok":true}',
    });
    const span = recording.span("GET");
    expect(described(span)).toEqual({
      name: "GET",
      kind: "CLIENT",
      status: "UNSET",
      message: undefined,
      attributes: {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": Number(new URL(url).port),
        "url.full": `${url}/a?b=c`,
      },
    });
    expect(span.parentSpanContext?.spanId).toBe(recording.span("around").spanContext().spanId);
    const { traceId, spanId } = span.spanContext();
    expect(seen?.get("traceparent")).toBe(`00-${traceId}-${spanId}-01`);
  });

  test("sends its own headers and body, too", async () => {
    const url = serve(async (request) =>
      Response.json([request.headers.get("x-a"), await request.text()]),
    );
    const answer = await tracedFetch(url, {
      ...GET,
      method: "POST",
      headers: { "x-a": "1" },
      body: "b",
    });
    expect(JSON.parse(answer.body)).toEqual(["1", "b"]);
  });

  test.each(["traceparent", "Traceparent", "TRACEPARENT"])(
    "sends one traceparent, its own, where the caller brings %s along",
    async (name) => {
      const url = serve((request) => Response.json([...request.headers]));
      const headers = { [name]: "00-x", TraceState: "theirs=1", Baggage: "theirs=1", "X-A": "1" };
      const baggage = propagation.createBaggage({ ours: { value: "2" } });
      const active = propagation.setBaggage(context.active(), baggage);
      const answer = await context.with(active, () => tracedFetch(url, { ...GET, headers }));
      const { traceId, spanId } = recording.span("GET").spanContext();
      const sent = JSON.parse(answer.body) as [string, string][];
      expect(sent.filter(([key]) => /^(?:trace|baggage|x-a)/.test(key))).toEqual([
        ["baggage", "ours=2"],
        ["traceparent", `00-${traceId}-${spanId}-01`],
        ["x-a", "1"],
      ]);
    },
  );

  test.each([400, 404, 409, 500, 503])(
    "answered %d is returned, and its span is an error",
    async (status) => {
      const url = serve(() => new Response("because", { status }));
      const answer = await tracedFetch(url, { ...GET, errorOf: (code, body) => `${code} ${body}` });
      expect(answer.status).toBe(status);
      expect(described(recording.span("GET"))).toMatchObject({
        status: "ERROR",
        message: `${status} because`,
        attributes: { "error.type": String(status), "http.response.status_code": status },
      });
    },
  );

  test("whose answer breaks off shows the status it had, and what went wrong", async () => {
    const server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket) {
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
          socket.end();
        },
      },
    });
    try {
      const url = `http://127.0.0.1:${server.port}/x`;
      await expect(tracedFetch(url, { method: "GET", timeoutMs: 5_000 })).rejects.toThrow();
      expect(described(recording.span("GET"))).toMatchObject({
        status: "ERROR",
        message: expect.stringMatching(/./),
        attributes: { "http.response.status_code": 200, "error.type": "ECONNRESET" },
      });
    } finally {
      server.stop(true);
    }
  });

  test("that fails says so also where the answer has no text of ours", async () => {
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response("<html>", { status: 502 }),
    });
    try {
      await tracedFetch(server.url.href, { method: "GET", timeoutMs: 5_000 });
      expect(described(recording.span("GET"))).toMatchObject({
        status: "ERROR",
        message: "answered 502",
      });
    } finally {
      await server.stop(true);
    }
  });

  test("is made once: a redirect is the caller's business", async () => {
    const url = serve(() => Response.redirect("http://127.0.0.1:1/", 307));
    expect((await tracedFetch(url, GET)).status).toBe(307);
    expect(recording.spans()).toHaveLength(1);
  });

  test("that is a repeat says so, the first does not", async () => {
    const url = serve(() => new Response());
    await tracedFetch(url, { ...GET, resendCount: 0 });
    await tracedFetch(url, { ...GET, resendCount: 2 });
    const counts = recording.spans().map((span) => span.attributes["http.request.resend_count"]);
    expect(counts).toEqual([undefined, 2]);
  });

  test("to nobody throws, and its span tells what went wrong", async () => {
    const url = serve(() => new Response());
    await cleanUps.pop()?.();
    const error = await tracedFetch(url, GET).catch((thrown: Error) => thrown);
    expect(error).toBeInstanceOf(Error);
    const span = described(recording.span("GET"));
    expect(span.status).toBe("ERROR");
    expect(span.message).not.toBe("");
    expect(span.attributes["error.type"]).toMatch(/^[A-Za-z_]+$/);
    expect(span.attributes).not.toContainKey("http.response.status_code");
  });

  test.each([
    ["no answer", () => new Promise<Response>(() => {})],
    [
      "a body that does not end",
      () => new Response(new ReadableStream({ pull: () => new Promise(() => {}) })),
    ],
  ])("that takes too long for %s throws a TimeoutError", async (_, answer) => {
    const url = serve(answer as () => Response);
    const error = await tracedFetch(url, { ...GET, timeoutMs: 50 }).catch(
      (thrown: Error) => thrown,
    );
    expect((error as Error).name).toBe("TimeoutError");
    expect(described(recording.span("GET"))).toMatchObject({
      status: "ERROR",
      attributes: { "error.type": "TimeoutError" },
    });
    expect(recording.spans()).toHaveLength(1);
  });

  test("records neither user, password nor secret parameters of its URL", async () => {
    const url = serve(() => new Response()).replace("http://", "http://ann:hunter2@");
    await tracedFetch(`${url}/?api_key=hunter3&page=2`, GET);
    const text = JSON.stringify(described(recording.span("GET")));
    expect(text).not.toMatch(/hunter|ann/);
    expect(text).toContain("page=2");
  });
});
