/** Stands in for orders, inventory and email, and fails as the item's name says. */

export interface FakeBackend {
  readonly url: string;
  /** Takes connections and never answers. */
  readonly hangingUrl: string;
  /** Resolves when a request other than a probe hangs. */
  hangs(): Promise<void>;
  /** How many mails were sent. */
  readonly mails: number;
  /** How many calls were about an item. */
  calls(itemId: string): number;
  stop(): Promise<void>;
}

/**
 * - `FLAKY` is answered 503 the first time;
 * - `BROKEN` and `STUCK` are answered 500 each time;
 * - everything else succeeds.
 */
export function startFakeBackend(): FakeBackend {
  const calls = new Map<string, number>();
  let mails = 0;
  const hanging = Promise.withResolvers<void>();
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const path = new URL(request.url).pathname;
      if (path === "/send") mails++;
      const itemId = path.split("/")[2] ?? "";
      const count = (calls.get(itemId) ?? 0) + 1;
      calls.set(itemId, count);
      if (itemId === "FLAKY" && count === 1) return answer(503, { error: "not now" });
      if (itemId === "BROKEN" || itemId === "STUCK") return answer(500, { error: "broken" });
      return answer(200, { status: "confirmed" });
    },
  });
  const hangingServer = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      if (new URL(request.url).pathname !== "/healthz") hanging.resolve();
      return new Promise<Response>(() => undefined);
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    hangingUrl: `http://127.0.0.1:${hangingServer.port}`,
    hangs: () => hanging.promise,
    get mails() {
      return mails;
    },
    calls: (itemId) => calls.get(itemId) ?? 0,
    async stop() {
      await Promise.all([server.stop(true), hangingServer.stop(true)]);
    },
  };
}

function answer(status: number, body: unknown): Response {
  return Response.json(body, { status });
}
