// The load client, a program of its own: reads a Load as JSON, writes a LoadResult as JSON.
// It speaks HTTP/1.1 on plain sockets, because `fetch` would cost more than the server it measures.
import type { Socket } from "bun";
import { percentile } from "../shared/figures.ts";
import type { Load, LoadResult } from "./load.ts";

/** Latencies that are kept for the percentiles; of more, the later ones replace earlier ones. */
const LATENCIES_MAX = 1_000_000;
/** Waiting for the last answers when the time is over. */
const LAST_ANSWERS_MS = 10_000;
const HEADER_END = Buffer.from("\r\n\r\n");

interface Connection {
  sentMs: number;
  received: Buffer;
}

const load = (await Bun.stdin.json()) as Load;
process.stdout.write(JSON.stringify(await run(load)));
process.exit();

async function run({ url, seconds, connections }: Load): Promise<LoadResult> {
  const { hostname, port } = new URL(url);
  const requests = buildRequests();
  const latencies = new Float64Array(LATENCIES_MAX);
  const statuses: Record<string, number> = {};
  const allDone = Promise.withResolvers<void>();
  let answered = 0;
  let broken = 0;
  let open = connections;
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1000;

  const send = (socket: Socket<Connection>) => {
    socket.data.sentMs = performance.now();
    socket.write(requests());
  };
  const receive = (socket: Socket<Connection>, chunk: Buffer) => {
    const connection = socket.data;
    connection.received =
      connection.received.length === 0 ? chunk : Buffer.concat([connection.received, chunk]);
    const status = completeAnswer(connection.received);
    if (status === undefined) return;
    connection.received = Buffer.alloc(0);
    const nowMs = performance.now();
    latencies[answered++ % LATENCIES_MAX] = nowMs - connection.sentMs;
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (nowMs < endMs) send(socket);
    else socket.end();
  };
  const closed = () => {
    if (performance.now() < endMs) broken++;
    if (--open === 0) allDone.resolve();
  };
  for (let index = 0; index < connections; index++) {
    await Bun.connect<Connection>({
      hostname,
      port: Number(port),
      data: { sentMs: 0, received: Buffer.alloc(0) },
      socket: { open: send, data: receive, close: closed },
    });
  }
  await Promise.race([allDone.promise, Bun.sleep(seconds * 1000 + LAST_ANSWERS_MS)]);
  // Whoever still has no answer gets none.
  broken += open;
  const elapsedSeconds = (performance.now() - startedMs) / 1000;
  const sorted = [...latencies.subarray(0, Math.min(answered, LATENCIES_MAX)).sort()];
  return {
    perSecond: answered / elapsedSeconds,
    answered,
    statuses,
    broken,
    latencyMs: {
      p50: percentile(sorted, 50),
      p95: percentile(sorted, 95),
      p99: percentile(sorted, 99),
      max: sorted.at(-1) ?? Number.NaN,
    },
  };
}

/** @returns a function that gives the next request, whole as it goes over the wire */
function buildRequests(): () => Buffer {
  const { url, method, headers = {}, bodies = [], paths = [] } = load;
  const target = new URL(url);
  const head = Object.entries({ host: target.host, ...headers })
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");
  const variants = Math.max(1, bodies.length, paths.length);
  const requests = Array.from({ length: variants }, (_, index) => {
    const path = paths[index % paths.length] ?? target.pathname + target.search;
    const body = bodies[index % bodies.length] ?? "";
    const about =
      body === ""
        ? ""
        : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`;
    return Buffer.from(`${method} ${path} HTTP/1.1\r\n${head}${about}\r\n${body}`);
  });
  let next = 0;
  return () => requests[next++ % variants] ?? Buffer.alloc(0);
}

/** @returns the status of an answer that has arrived as a whole; undefined before that */
function completeAnswer(received: Buffer): string | undefined {
  const headerEnd = received.indexOf(HEADER_END);
  if (headerEnd < 0) return undefined;
  const head = received.toString("latin1", 0, headerEnd);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without Content-Length:\n${head}`);
  return received.length >= headerEnd + 4 + Number(length) ? head.slice(9, 12) : undefined;
}
