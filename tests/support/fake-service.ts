/** What a service may find in place of the one behind it. */

/** A service that is well, and answers as told. */
export interface FakeService {
  /** Its base URL. */
  readonly url: string;
  stop(): Promise<void>;
}

/** @param answer to everything but `GET /healthz` */
export function startFakeService(
  answer: (request: Request) => Response | Promise<Response>,
): FakeService {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 60,
    fetch: (request) =>
      new URL(request.url).pathname === "/healthz" ? new Response() : answer(request),
  });
  return { url: `http://127.0.0.1:${server.port}`, stop: () => server.stop(true) };
}

/** @returns the base URL of a port on which nothing listens any more */
export function nobody(): string {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  listener.stop(true);
  return `http://127.0.0.1:${listener.port}`;
}
