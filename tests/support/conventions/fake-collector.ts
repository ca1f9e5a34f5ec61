/** A collector that fails as told. */

export type CollectorFault =
  | "down"
  | "hanging"
  | {
      status: number;
      headers?: Record<string, string>;
      body?: string;
      delayMs?: number;
    };

export interface FakeCollector {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  /** Behaves otherwise from now on; what listens cannot go down. */
  become(fault: CollectorFault): void;
  stop(): Promise<void>;
}

export function startFakeCollector(initially: CollectorFault): FakeCollector {
  let fault = initially;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 60,
    async fetch(request) {
      await request.bytes();
      if (typeof fault !== "object") return new Promise<Response>(() => undefined);
      const { status, headers = {}, body = "", delayMs = 0 } = fault;
      await Bun.sleep(delayMs);
      return new Response(body, { status, headers });
    },
  });
  const url = `http://127.0.0.1:${server.port}`;
  // Its port was free a moment ago: nobody listens there.
  const closed = fault === "down" ? server.stop(true) : undefined;
  return {
    url,
    become: (next) => (fault = next),
    async stop() {
      await (closed ?? server.stop(true));
    },
  };
}
