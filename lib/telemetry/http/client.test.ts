/** Calls out: what their spans say, what goes over the wire, and when the answer is there. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { context, propagation, trace } from "@opentelemetry/api";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { bindInstruments } from "../metrics/instruments.ts";
import { createPrometheusReader } from "../metrics/prometheus.ts";
import { failSpan, inSpan } from "../span.ts";
import { described, recordSpans, type SpanRecording } from "../testing/record-spans.ts";
import { traceRequestOut, tracedFetch, type FetchInit } from "./client.ts";

setDefaultTimeout(30_000);

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

/** A server that writes these bytes to whoever asks, `OK` for `/end`, and closes the connection. */
function serveBytes(bytes: string): string {
  const data = (socket: Bun.Socket, asked: Buffer) =>
    void socket.end(asked.toString().startsWith("GET /end") ? OK : bytes);
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data } });
  cleanUps.push(() => server.stop(true));
  return `http://127.0.0.1:${server.port}`;
}

/** A server that answers with the headers that it was sent. */
const serveHeaders = () => serve((request) => Response.json([...request.headers]));

const hang = () => new Promise<never>(() => {});

const serveNothing = () => serve(hang);

/** A server whose answers begin and never end. */
function serveEndless(): string {
  return serve(() => {
    const body = new ReadableStream({ start: (begun) => begun.enqueue("begun"), pull: hang });
    return new Response(body);
  });
}

function abortable() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (reason: Error) => controller.abort(reason) };
}

/** What of the context went over the wire, by name. */
async function contextHeaders(answer: Response): Promise<Record<string, string>> {
  const sent = (await answer.json()) as [string, string][];
  return Object.fromEntries(sent.filter(([name]) => /^(?:trace|baggage)/.test(name)));
}

/** The active context as a request's headers would make it. */
function contextOf(headers: Record<string, string>) {
  return propagation.extract(context.active(), headers);
}

const statusOf = (response: Response) => response.status;
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const BROKEN_OFF = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc";
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";

describe("a call's span", () => {
  test("is a CLIENT span under the active one, and its context is in the headers", async () => {
    let seen: Headers | undefined;
    const url = serve((request) => {
      seen = request.headers;
      return Response.json({ ok: true });
    });
    const answer = await inSpan("around", {}, async () => tracedFetch(`${url}/a?b=c`));
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({ ok: true });
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

  test.each([400, 404, 409, 500, 503])("is an error where %d is answered", async (status) => {
    const url = serve(() => new Response("because", { status }));
    const answer = await tracedFetch(url);
    expect([answer.status, await answer.text()]).toEqual([status, "because"]);
    expect(described(recording.span("GET"))).toMatchObject({
      status: "ERROR",
      message: `answered ${status}`,
      attributes: { "error.type": String(status), "http.response.status_code": status },
    });
  });

  test("of a call to nobody tells what went wrong", async () => {
    const url = serve(() => new Response());
    await cleanUps.pop()?.();
    await expect(tracedFetch(url)).rejects.toThrow();
    const span = described(recording.span("GET"));
    expect(span.status).toBe("ERROR");
    expect(span.message).toContain("ECONNREFUSED");
    expect(span.attributes["error.type"]).toBe("ECONNREFUSED");
    expect(span.attributes).not.toContainKey("http.response.status_code");
  });

  test("has neither user, password nor secret parameters of its URL", async () => {
    const url = serve(() => new Response()).replace("http://", "http://ann:hunter2@");
    await tracedFetch(`${url}/?api_key=hunter3&page=2`);
    const text = JSON.stringify(described(recording.span("GET")));
    expect(text).not.toMatch(/hunter|ann/);
    expect(text).toContain("page=2");
  });

  test("does not make a metric's series of a method that somebody made up", async () => {
    const url = serve(() => new Response());
    await tracedFetch(url, { method: "PURGE" });
    expect(described(recording.span("HTTP")).attributes).toMatchObject({
      "http.request.method": "_OTHER",
      "http.request.method_original": "PURGE",
    });
    await tracedFetch(url, { method: "post" });
    // Which Bun does not know, and sends as GET.
    await tracedFetch(url, { method: "NONSENSE" });
    for (const name of ["POST", "GET"]) {
      const { attributes } = recording.span(name);
      expect(attributes["http.request.method"]).toBe(name);
      expect(attributes).not.toContainKey("http.request.method_original");
    }
  });

  test("is one for each hop of a redirect, each a parent of its own in the headers", async () => {
    const seen: (string | null)[] = [];
    const url = serve((request) => {
      seen.push(request.headers.get("traceparent"));
      const hop = Number(new URL(request.url).pathname.slice(1));
      return hop < 2 ? Response.redirect(`/${hop + 1}?token=hunter2`, 302) : new Response("end");
    });
    const answer = await inSpan("around", {}, async () => tracedFetch(`${url}/0`));
    expect([answer.redirected, answer.url]).toEqual([true, `${url}/2?token=hunter2`]);
    const around = recording.span("around").spanContext().spanId;
    const hops = recording.spans().filter(({ name }) => name === "GET");
    expect(
      hops.map(({ attributes, parentSpanContext, status }) => [
        attributes["url.full"],
        attributes["http.response.status_code"],
        attributes["http.request.resend_count"],
        parentSpanContext?.spanId === around,
        status.code,
      ]),
    ).toEqual([
      [`${url}/0`, 302, undefined, true, 0],
      [`${url}/1?token=REDACTED`, 302, 1, true, 0],
      [`${url}/2?token=REDACTED`, 200, 2, true, 0],
    ]);
    expect(seen).toEqual(
      hops.map((hop) => `00-${hop.spanContext().traceId}-${hop.spanContext().spanId}-01`),
    );
  });

  test("is an error where a redirect cannot be followed", async () => {
    const url = serve(
      () => new Response(null, { status: 302, headers: { location: "ftp://host/" } }),
    );
    await expect(tracedFetch(url)).rejects.toThrow(TypeError);
    expect(described(recording.span("GET"))).toMatchObject({
      status: "ERROR",
      attributes: {
        "http.response.status_code": 302,
        "error.type": "UnsupportedRedirectProtocol",
      },
    });
  });

  test("goes with a measurement of the same call", async () => {
    const { reader, scrape } = createPrometheusReader(undefined);
    const provider = new MeterProvider({ readers: [reader] });
    cleanUps.push(() => provider.shutdown());
    bindInstruments(provider);
    const url = serve(() => new Response(null, { status: 404 }));
    await tracedFetch(url, { method: "DELETE" });
    const counts = (await scrape())
      .split("\n")
      .filter((line) => line.startsWith("http_client_request_duration_seconds_count"));
    expect(counts).toHaveLength(1);
    for (const label of [
      'http_request_method="DELETE"',
      'http_response_status_code="404"',
      'error_type="404"',
      'server_address="127.0.0.1"',
      `server_port="${new URL(url).port}"`,
    ]) {
      expect(counts[0]).toContain(label);
    }
  });
});

describe("the headers of a call", () => {
  const forms: [
    form: string,
    make: (headers: [string, string][]) => Parameters<typeof fetch>[1],
  ][] = [
    ["a record", (headers) => ({ headers: Object.fromEntries(headers) })],
    ["a list", (headers) => ({ headers })],
    ["Headers", (headers) => ({ headers: new Headers(headers) })],
    ["a Request", (headers) => new Request("http://host/", { headers }) as FetchInit],
  ];
  const names = ["traceparent", "Traceparent", "TRACEPARENT"];
  const cases = forms.flatMap(([form, make]) => names.map((name) => [form, name, make] as const));

  test.each(cases)(
    "in %s: %s of the caller's is replaced, and one goes out",
    async (_, name, make) => {
      const url = serveHeaders();
      const ours = contextOf({ baggage: "ours=2" });
      const init = make([
        [name, "00-x"],
        ["TraceState", "theirs=1"],
        ["Baggage", "theirs=1"],
        ["X-A", "1"],
      ]);
      const answer = await context.with(ours, () => tracedFetch(url, init));
      const { traceId, spanId } = recording.span("GET").spanContext();
      const sent = (await answer.json()) as [string, string][];
      expect(sent.filter(([key]) => /^(?:trace|baggage|x-a)/.test(key)).sort()).toEqual([
        ["baggage", "ours=2"],
        ["traceparent", `00-${traceId}-${spanId}-01`],
        ["x-a", "1"],
      ]);
    },
  );

  test("are the caller's own objects no more than before: nothing is written into them", async () => {
    const url = serveHeaders();
    const headers = new Headers({ traceparent: "00-x" });
    const request = new Request(url, { headers: { "x-a": "1" } });
    await tracedFetch(url, { headers });
    await tracedFetch(request);
    expect([...headers]).toEqual([["traceparent", "00-x"]]);
    expect([...request.headers]).toEqual([["x-a", "1"]]);
  });

  test("carry traceparent, tracestate and baggage, each once", async () => {
    const parent = contextOf({
      traceparent: `00-${TRACE}-${PARENT}-01`,
      tracestate: "vendor=1",
      baggage: "tenant=7",
    });
    const answer = await context.with(parent, () => tracedFetch(serveHeaders()));
    const { spanId } = recording.span("GET").spanContext();
    expect(await contextHeaders(answer)).toEqual({
      baggage: "tenant=7",
      traceparent: `00-${TRACE}-${spanId}-01`,
      tracestate: "vendor=1",
    });
  });

  test("say that an unsampled trace is not sampled, and no span is recorded", async () => {
    const parent = contextOf({ traceparent: `00-${TRACE}-${PARENT}-00` });
    const answer = await context.with(parent, () => tracedFetch(serveHeaders()));
    const { traceparent } = await contextHeaders(answer);
    expect(traceparent).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
    expect(recording.spans()).toEqual([]);
  });

  test("pass the context on as it came where the SDK is disabled", async () => {
    const parent = contextOf({ traceparent: `00-${TRACE}-${PARENT}-01`, baggage: "tenant=7" });
    trace.disable();
    const answer = await context.with(parent, () => tracedFetch(serveHeaders()));
    expect(await contextHeaders(answer)).toEqual({
      baggage: "tenant=7",
      traceparent: `00-${TRACE}-${PARENT}-01`,
    });
  });

  test("are the caller's own where there is nothing of ours to send", async () => {
    trace.disable();
    const headers = { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: "theirs=1" };
    expect(await contextHeaders(await tracedFetch(serveHeaders(), { headers }))).toEqual(headers);
  });
});

describe("a body", () => {
  test("that is a stream is there as it comes, long after its span's end", async () => {
    const gate = Promise.withResolvers<void>();
    cleanUps.push(() => gate.resolve());
    async function* events() {
      yield "data: first\n\n";
      await gate.promise;
      yield "data: last\n\n";
    }
    const headers = { "content-type": "text/event-stream" };
    const url = serve(() => new Response(events(), { headers }));
    const answer = await tracedFetch(url);
    expect(recording.spans()).toHaveLength(1);
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    expect(await reader?.read()).toMatchObject({ value: "data: first\n\n" });
    gate.resolve();
    expect(await reader?.read()).toMatchObject({ value: "data: last\n\n" });
    expect(await reader?.read()).toMatchObject({ done: true });
    expect(recording.spans()).toHaveLength(1);
  });

  test("that is sent as a stream arrives as it is made", async () => {
    const arrived = Promise.withResolvers<void>();
    const url = serve(async (request) => {
      let text = "";
      for await (const chunk of request.body ?? []) {
        text += Buffer.from(chunk as Uint8Array).toString();
        arrived.resolve();
      }
      return new Response(text);
    });
    async function* chunks() {
      yield "first ";
      await arrived.promise;
      yield "last";
    }
    const answer = await tracedFetch(url, { method: "POST", body: chunks() });
    expect(await answer.text()).toBe("first last");
  });

  test("that breaks off is its reader's error, the same as fetch's", async () => {
    const url = serveBytes(BROKEN_OFF);
    const read = async (how: typeof fetch) => {
      const answer = await how(url);
      const error = (await answer.text().catch((thrown: unknown) => thrown)) as Error;
      return [answer.status, error.constructor, error.name, (error as { code?: string }).code];
    };
    expect(await read(tracedFetch)).toEqual(await read(fetch));
    expect(described(recording.span("GET"))).toMatchObject({ status: "UNSET" });
  });

  test.each([
    ["breaks off", "content-length: 100\r\n\r\nabc"],
    ["is no chunk", "transfer-encoding: chunked\r\n\r\nzz\r\nabc"],
  ])("of a redirect that %s is nobody's error: it is followed, as by fetch", async (_, rest) => {
    const url = serveBytes(`HTTP/1.1 302 Found\r\nlocation: /end\r\n${rest}`);
    expect(await (await fetch(url)).text()).toBe("ok");
    expect(await (await tracedFetch(url)).text()).toBe("ok");
    expect(recording.spans().map((span) => described(span).status)).toEqual(["UNSET", "UNSET"]);
  });

  test("that nobody reads holds no span open", async () => {
    const url = serveEndless();
    const answer = await tracedFetch(url);
    expect(recording.spans()).toHaveLength(1);
    await answer.body?.cancel();
    expect(recording.spans()).toHaveLength(1);
  });
});

describe("an abort", () => {
  test("before the call is an error on its span, and the caller's own", async () => {
    const signal = AbortSignal.abort();
    await expect(tracedFetch(serveNothing(), { signal })).rejects.toBe(signal.reason);
    expect(described(recording.span("GET"))).toMatchObject({
      status: "ERROR",
      attributes: { "error.type": "AbortError" },
    });
  });

  test.each(["init", "request"])(
    "before the head is an error on its span, by its %s",
    async (by) => {
      const { signal, abort } = abortable();
      const url = serve(() => {
        abort(new RangeError("enough"));
        return hang();
      });
      const call =
        by === "init" ? tracedFetch(url, { signal }) : tracedFetch(new Request(url, { signal }));
      await expect(call).rejects.toThrow(new RangeError("enough"));
      expect(described(recording.span("GET"))).toMatchObject({
        status: "ERROR",
        message: "enough",
        attributes: { "error.type": "RangeError" },
      });
    },
  );

  test.each(["init", "request"])("between two hops ends the chain, by its %s", async (by) => {
    const { signal, abort } = abortable();
    let hops = 0;
    const url = serve(() => {
      if (++hops === 2) abort(new Error("enough"));
      return hops < 2 ? Response.redirect("/", 307) : hang();
    });
    const call =
      by === "init" ? tracedFetch(url, { signal }) : tracedFetch(new Request(url, { signal }));
    await expect(call).rejects.toThrow("enough");
    expect(recording.spans().map((span) => described(span).status)).toEqual(["UNSET", "ERROR"]);
  });

  test("after the head is its reader's error; the span has ended well", async () => {
    const { signal, abort } = abortable();
    const url = serveEndless();
    const answer = await tracedFetch(url, { signal });
    abort(new Error("enough"));
    await expect(answer.text()).rejects.toThrow("enough");
    expect(described(recording.span("GET"))).toMatchObject({ status: "UNSET" });
  });

  test("by a time limit is a TimeoutError on the span", async () => {
    const signal = AbortSignal.timeout(50);
    await expect(tracedFetch(serveNothing(), { signal })).rejects.toThrow(
      expect.objectContaining({ name: "TimeoutError" }),
    );
    expect(described(recording.span("GET"))).toMatchObject({
      status: "ERROR",
      attributes: { "error.type": "TimeoutError" },
    });
  });
});

describe("a request of a client of one's own", () => {
  test("keeps its span open while the answer is read, and says what a failed one means", async () => {
    const url = serve(() => new Response("no more", { status: 409 }));
    const init = { method: "POST", body: "b" };
    const body = await traceRequestOut(url, init, async (response, span) => {
      const text = await response.text();
      expect(recording.spans()).toEqual([]);
      failSpan(span, String(response.status), text);
      return text;
    });
    expect(body).toBe("no more");
    expect(described(recording.span("POST"))).toMatchObject({
      status: "ERROR",
      message: "no more",
      attributes: { "error.type": "409", "http.response.status_code": 409 },
    });
  });

  test("whose answer breaks off shows the status it had, and what went wrong", async () => {
    const call = traceRequestOut(serveBytes(BROKEN_OFF), {}, (response) => response.text());
    await expect(call).rejects.toThrow();
    expect(described(recording.span("GET"))).toMatchObject({
      status: "ERROR",
      message: expect.stringMatching(/./),
      attributes: { "http.response.status_code": 200, "error.type": "ECONNRESET" },
    });
  });

  test("that is a repeat says so, the first does not", async () => {
    const url = serve(() => new Response());
    await traceRequestOut(url, {}, statusOf, { resendCount: 0 });
    await traceRequestOut(url, {}, statusOf, { resendCount: 2 });
    const counts = recording.spans().map((span) => span.attributes["http.request.resend_count"]);
    expect(counts).toEqual([undefined, 2]);
  });

  test("shows the line that its caller names", async () => {
    const location = { "code.line.number": 7 };
    await traceRequestOut(
      serve(() => new Response()),
      {},
      () => 0,
      { location },
    );
    expect(recording.span("GET").attributes["code.line.number"]).toBe(7);
  });

  test("follows a redirect only where it is asked to", async () => {
    const url = serve(() => Response.redirect("http://127.0.0.1:1/", 307));
    expect(await traceRequestOut(url, { redirect: "manual" }, statusOf)).toBe(307);
    expect(recording.spans()).toHaveLength(1);
  });
});
