// What the pages ask the store, asked with odd things and by odd clients.
import { afterEach, describe, expect, test } from "bun:test";
import { startTraceStore, type TraceStore } from "#lib/embedded/traces/index.ts";
import { exportOf, sendOpenSpans, sendTraces, spanIdOf, traceIdOf } from "./support/otlp-traces.ts";
import { until } from "./support/until.ts";

const TIMEOUT_MS = 30_000;
let store: TraceStore;
const ended: AbortController[] = [];

async function start(): Promise<void> {
  store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
}

afterEach(async () => {
  for (const one of ended.splice(0)) one.abort();
  await store.stop();
});

const get = (path: string, init?: RequestInit) => fetch(store.queryUrl + path, init);

describe("a question", () => {
  test.each([
    "/api/view/traces?status=maybe",
    "/api/view/traces?min=soon",
    "/api/view/traces?max=1",
    "/api/view/traces?from=-1",
    "/api/view/traces?limit=many",
    "/api/view/map?to=1e9",
    "/api/view/logs?severity=x",
    "/api/view/export",
  ])("that makes no sense is 400, and says why: %s", async (path) => {
    await start();
    const response = await get(path);
    expect(response.status).toBe(400);
    expect(Object.keys((await response.json()) as object)).toEqual(["error"]);
  });

  test.each([
    "/api/view/trace/",
    "/api/view/trace/zz",
    `/api/view/trace/${traceIdOf(7)}`,
    `/api/view/source/${traceIdOf(1)}/`,
    `/api/view/bytes/${traceIdOf(1)}/${spanIdOf(9)}`,
    `/api/view/why/${traceIdOf(1)}/x`,
    "/api/view/",
    "/api/view/nothing",
    "/api/view/trace/%ff",
    `/compare/${traceIdOf(1)}`,
    "/assets/../package.json",
    "/assets/%2e%2e/package.json",
    "/metrics",
  ])("for what is not there is 404: %s", async (path) => {
    await start();
    await sendTraces(store.otlpUrl, [{ id: 1 }]);
    expect((await get(path)).status).toBe(404);
  });

  test("for the bytes of a span that has not ended is 404: there are none", async () => {
    await start();
    await sendOpenSpans(store.otlpUrl, "p", [{ id: 1 }]);
    expect((await get(`/api/view/trace/${traceIdOf(1)}`)).status).toBe(200);
    expect((await get(`/api/view/bytes/${traceIdOf(1)}/${spanIdOf(1)}`)).status).toBe(404);
    // It is on its way only: Jaeger's API has what has come.
    expect((await get(`/api/traces/${traceIdOf(1)}`)).status).toBe(404);
  });

  test.each([
    ["POST", "?process=", 400],
    ["POST", "?process=a%20b", 400],
    ["POST", "", 400],
    ["POST", `?process=${"x".repeat(65)}`, 400],
    ["GET", "?process=p", 405],
  ])("about open spans that makes no sense is refused: %s %s", async (method, query, status) => {
    await start();
    const response = await fetch(`${store.otlpUrl}/api/open-spans${query}`, {
      method,
      ...(method === "POST" && {
        headers: { "content-type": "application/json" },
        body: exportOf([{ id: 1 }]),
      }),
    });
    expect(response.status).toBe(status);
  });

  test.each(["/api/view/traces", "/api/view/live", "/", "/api/view/map"])(
    "by HEAD is answered without a body: %s",
    async (path) => {
      await start();
      const response = await get(path, { method: "HEAD" });
      expect([response.status, (await response.bytes()).length]).toEqual([200, 0]);
    },
  );

  test.each(["POST", "PUT", "DELETE"])("by %s changes nothing", async (method) => {
    await start();
    for (const path of ["/api/view/traces", "/api/view/live", "/"]) {
      expect((await get(path, { method })).status).toBe(405);
    }
    expect((await get("/api/view/import", { method, body: "{}" })).status).toBeOneOf([405, 415]);
    expect(store.stats().spans).toBe(0);
  });
});

describe("an import", () => {
  const span = { traceId: traceIdOf(1), spanId: spanIdOf(1) };
  const body = JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] });
  const json = { "content-type": "application/json" };

  test("is taken from our own page, and refused from a page of another site", async () => {
    await start();
    expect((await importOf(body, { ...json, origin: "https://other.example" })).status).toBe(403);
    expect((await importOf(body, { "content-type": "text/plain" })).status).toBe(415);
    expect(store.stats().spans).toBe(0);
    expect((await importOf(body, { ...json, origin: store.queryUrl })).status).toBe(200);
    expect(store.stats().spans).toBe(1);
  });

  test(
    "of more than 64 MiB is refused, and nothing of it is taken",
    async () => {
      await start();
      const large = new Blob([body, " ".repeat(64 * 1024 ** 2)]);
      const response = await get("/api/view/import", {
        method: "POST",
        headers: json,
        body: large,
      });
      expect([response.status, store.stats().spans]).toEqual([413, 0]);
    },
    TIMEOUT_MS,
  );
});

describe("changes", () => {
  test("are told as they come, and what was missed is told by the last id", async () => {
    await start();
    const first = await listen();
    await until("it listens", () => first.text.includes("event: hello"));
    await sendTraces(store.otlpUrl, [{ id: 1, trace: 1 }]);
    await until("it is told", () => changesIn(first).flat().includes(traceIdOf(1)));
    const id = lastIdIn(first);
    ended.splice(0).forEach((one) => one.abort());
    await sendTraces(store.otlpUrl, [{ id: 2, trace: 2 }]);
    await sendTraces(store.otlpUrl, [{ id: 3, trace: 3 }]);
    const again = await listen(id);
    await until("it is told what it missed", () => changesIn(again).length > 0);
    expect(changesIn(again)).toEqual([[traceIdOf(3), traceIdOf(2)]]);
    // An id of a store that ran before is none of this one's.
    const other = await listen("another-7");
    await until("it is told of all", () => changesIn(other).length > 0);
    expect(changesIn(other)[0]).toHaveLength(3);
  });

  test("are told to 64 pages; one more is refused, and taken when another has gone", async () => {
    await start();
    const all = await Promise.all(Array.from({ length: 64 }, () => listen()));
    expect(all.map(({ status }) => status)).toEqual(all.map(() => 200));
    expect((await listen()).status).toBe(503);
    ended[0]?.abort();
    await until("there is room", async () => (await listen()).status === 200);
  });

  test("end with the store", async () => {
    await start();
    const heard = await listen();
    await store.stop();
    await until("it has ended", () => heard.isOver);
  });
});

/** What one stream has said so far. */
interface Heard {
  text: string;
  isOver: boolean;
}

async function listen(lastId?: string): Promise<Heard & { status: number }> {
  const end = new AbortController();
  ended.push(end);
  const response = await get("/api/view/live", {
    signal: end.signal,
    headers: { accept: "text/event-stream", ...(lastId && { "last-event-id": lastId }) },
  });
  const heard = { text: "", isOver: false, status: response.status };
  const read = async () => {
    for await (const chunk of response.body ?? []) heard.text += Buffer.from(chunk).toString();
  };
  void read()
    .catch(() => undefined)
    .finally(() => (heard.isOver = true));
  return heard;
}

function importOf(body: string, headers: Record<string, string>): Promise<Response> {
  return get("/api/view/import", { method: "POST", headers, body });
}

/** The traces that each change told of. */
function changesIn({ text }: Heard): string[][] {
  return [...text.matchAll(/event: change\ndata: (.*)\n/g)].map(
    ([, data = ""]) => (JSON.parse(data) as { traceIds: string[] }).traceIds,
  );
}

function lastIdIn({ text }: Heard): string {
  return [...text.matchAll(/^id: (.*)$/gm)].at(-1)?.[1] ?? "";
}
