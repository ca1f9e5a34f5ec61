import { afterEach, describe, expect, test } from "bun:test";
import { described, recordSpans } from "#lib/telemetry/testing/record-spans.ts";
import { CALLS_MAX, createServiceClient, errorInBody, pathSegment, probeHealth } from "./client.ts";
import { TIMEOUT_HEADER } from "./deadline.ts";
import { createDependency } from "./dependency.ts";
import { BadGatewayError, GatewayTimeoutError, UnavailableError } from "./errors.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

function serve(answer: (request: Request) => Response | Promise<Response>): string {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
  cleanUps.push(() => server.stop(true));
  return `http://127.0.0.1:${server.port}`;
}

describe("a call to another service", () => {
  test("sends JSON and returns the answer, whatever its status", async () => {
    const url = serve(async (request) =>
      Response.json(
        { type: request.headers.get("content-type"), body: await request.json() },
        { status: 409 },
      ),
    );
    const answer = await createServiceClient("stock", url).call("POST", "/x", { body: { a: 1 } });
    expect(answer.status).toBe(409);
    expect(JSON.parse(answer.body)).toEqual({ type: "application/json", body: { a: 1 } });
  });

  test.each([
    ['{"error":"too little stock"}', "too little stock"],
    ["<html>", "answered 409"],
  ])("that fails with %s says on its span: %s", async (body, message) => {
    const recording = recordSpans();
    cleanUps.push(() => recording.stop());
    const url = serve(() => new Response(body, { status: 409 }));
    const answer = await createServiceClient("stock", url).call("POST", "/", { resendCount: 2 });
    expect(answer).toMatchObject({ status: 409, body });
    expect(described(recording.span("POST"))).toMatchObject({
      status: "ERROR",
      message,
      attributes: {
        "error.type": "409",
        "http.response.status_code": 409,
        "http.request.resend_count": 2,
      },
    });
  });

  test("is made once: a redirect is the caller's business", async () => {
    const recording = recordSpans();
    cleanUps.push(() => recording.stop());
    const url = serve(() => Response.redirect("http://127.0.0.1:1/", 307));
    expect((await createServiceClient("stock", url).call("GET", "/")).status).toBe(307);
    expect(recording.spans()).toHaveLength(1);
  });

  test.each([
    ["no answer", () => new Promise<Response>(() => {})],
    [
      "a body that does not end",
      () =>
        new Response(
          new ReadableStream({
            start: (body) => body.enqueue("begun"),
            pull: () => new Promise(() => {}),
          }),
        ),
    ],
  ])("that takes too long for %s is a TimeoutError on its span", async (_, answer) => {
    const recording = recordSpans();
    cleanUps.push(() => recording.stop());
    const url = serve(answer as () => Response);
    const call = createServiceClient("stock", url).call("GET", "/", { timeoutMs: 100 });
    await expect(call).rejects.toBeInstanceOf(GatewayTimeoutError);
    expect(described(recording.span("GET"))).toMatchObject({
      status: "ERROR",
      attributes: { "error.type": "TimeoutError" },
    });
  });

  test("to nobody is a BadGatewayError that names the service and keeps the cause", async () => {
    const url = serve(() => new Response());
    await cleanUps.pop()?.();
    const error = await createServiceClient("stock", url)
      .call("GET", "/")
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BadGatewayError);
    expect((error as Error).message).toBe("the stock service cannot be reached");
    expect((error as Error).cause).toBeInstanceOf(Error);
  });

  test("that is not answered in time is a GatewayTimeoutError", async () => {
    const url = serve(() => new Promise<Response>(() => {}));
    const error = await createServiceClient("stock", url)
      .call("GET", "/", { timeoutMs: 30 })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(GatewayTimeoutError);
    expect((error as Error).message).toBe("the stock service did not answer in time");
  });
});

describe("more calls than one service is sent at a time", () => {
  test("wait for their turn, and all are answered", async () => {
    let [active, activeMax] = [0, 0];
    const url = serve(async () => {
      activeMax = Math.max(activeMax, ++active);
      await Bun.sleep(20);
      active--;
      return new Response();
    });
    const client = createServiceClient("stock", url);
    const answers = await Promise.all(
      Array.from({ length: 3 * CALLS_MAX }, () => client.call("GET", "/")),
    );
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(activeMax).toBeLessThanOrEqual(CALLS_MAX);
  });

  test("wait within their own time; what is over is an UnavailableError, and others go on", async () => {
    const gate = Promise.withResolvers<void>();
    const url = serve(async (request) => {
      await gate.promise;
      return new Response(request.headers.get(TIMEOUT_HEADER));
    });
    const client = createServiceClient("stock", url);
    const hanging = Array.from({ length: CALLS_MAX }, () => client.call("GET", "/"));
    const patient = client.call("GET", "/", { timeoutMs: 4_000 });
    const error = await client
      .call("GET", "/", { timeoutMs: 100 })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnavailableError);
    expect((error as Error).message).toBe("too many calls to the stock service at a time");
    gate.resolve();
    const { status, body } = await patient;
    expect(status).toBe(200);
    // It tells the service behind what is left, the waiting taken off.
    expect(Number(body)).toBeLessThanOrEqual(3_900);
    await Promise.all(hanging);
  });
});

describe("what HTTP_PROXY and its kin name", () => {
  const VARIABLES = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"];

  test.each(VARIABLES)("has no part in calls, nor in probes: %s", async (variable) => {
    const before = process.env[variable];
    cleanUps.push(() => {
      if (before === undefined) delete process.env[variable];
      else process.env[variable] = before;
    });
    let proxied = 0;
    process.env[variable] = serve(() => {
      proxied++;
      return Response.json({ status: "not ready" }, { status: 503 });
    });
    const url = serve(() => new Response("direct"));
    const answer = await createServiceClient("stock", url).call("POST", "/", { body: {} });
    expect(answer.body).toBe("direct");
    await probeHealth("stock", url);
    expect(await createDependency("stock", url).isDown()).toBe(false);
    expect(proxied).toBe(0);
  });
});

describe("whether a service is well", () => {
  test("is asked at its /healthz", async () => {
    const paths: string[] = [];
    const url = serve((request) => {
      paths.push(new URL(request.url).pathname);
      return new Response("ok");
    });
    await probeHealth("stock", url);
    expect(paths).toEqual(["/healthz"]);
  });

  test.each([
    ["answers 500", () => new Response(null, { status: 500 }), 5_000, /answers 500/],
    ["does not answer", () => new Promise<Response>(() => {}), 50, /cannot be reached/],
  ])("fails with the reason where it %s", async (_, answer, timeoutMs, reason) => {
    const asked = probeHealth("stock", serve(answer), timeoutMs);
    const error = await asked.catch((thrown: Error) => thrown);
    expect((error as Error).message).toMatch(reason);
    expect((error as Error).message).toContain("stock");
  });
});

test("a text becomes one segment of a path and can be read back, dots cannot climb", () => {
  for (const text of ["a/b", "a%2Fb", "ü😀 ?#", "...", "a.b"]) {
    const { pathname } = new URL(`http://host/stock/${pathSegment(text)}/reserve`);
    expect(pathname.split("/")).toHaveLength(4);
    expect(decodeURIComponent(pathname.split("/")[2] ?? "")).toBe(text);
  }
  for (const text of [".", ".."]) {
    const { pathname } = new URL(`http://host/stock/${pathSegment(text)}`);
    expect(pathname).toStartWith("/stock/");
    expect(pathname.split("/")).toHaveLength(3);
  }
});

test("an error's text is found in the house's form only", () => {
  expect(errorInBody('{"error":"no such item"}')).toBe("no such item");
  for (const body of ["", "<html>", "null", "[]", '{"error":5}', '"error"']) {
    expect(errorInBody(body), body).toBeUndefined();
  }
});
