// Load on an HTTP server from a process of its own: a fixed number of connections, each of which
// sends its next request when the last one is answered.
import { join } from "node:path";

/** What to send; the client's standard input as JSON. */
export interface Load {
  url: string;
  method: "GET" | "POST";
  headers?: Record<string, string>;
  /** Sent in turns; none for a request without body. */
  bodies?: readonly string[];
  /** Paths to send to in turns, instead of the URL's own. */
  paths?: readonly string[];
  connections: number;
  seconds: number;
}

/** What came back; the client's standard output as JSON. */
export interface LoadResult {
  perSecond: number;
  answered: number;
  /** Answers by HTTP status. */
  statuses: Record<string, number>;
  /** Connections that broke. */
  broken: number;
  latencyMs: { p50: number; p95: number; p99: number; max: number };
}

/** Time beyond the load's own in which the client must have ended. */
const GRACE_MS = 20_000;

/**
 * Runs our own client.
 * @throws Error where it fails, does not end, or gets no answer at all
 */
export async function sendLoad(load: Load): Promise<LoadResult> {
  const client = Bun.spawn([process.execPath, join(import.meta.dir, "load-client.ts")], {
    stdin: Buffer.from(JSON.stringify(load)),
    stdout: "pipe",
    stderr: "inherit",
    timeout: load.seconds * 1000 + GRACE_MS,
  });
  const [text, exitCode] = await Promise.all([client.stdout.text(), client.exited]);
  if (exitCode !== 0) throw new Error(`the load client ended with ${exitCode}`);
  const result = JSON.parse(text) as LoadResult;
  if (result.answered === 0) throw new Error(`${load.url} answered nothing`);
  return result;
}

/** Whether wrk is installed: it needs less of the processor than our own client. */
export function hasWrk(): boolean {
  return Bun.which("wrk") !== null;
}

/**
 * Sends GETs with wrk for a time that may be shorter than a second.
 * @throws Error where it fails or an answer is not 2xx
 */
export async function sendWithWrk(
  url: string,
  load: { headers: Record<string, string>; connections: number; ms: number },
): Promise<Pick<LoadResult, "perSecond" | "answered">> {
  const headers = Object.entries(load.headers).flatMap(([name, value]) => [
    "-H",
    `${name}: ${value}`,
  ]);
  // It counts in whole seconds; at SIGINT it stops and reports on the time until then.
  const seconds = Math.ceil(load.ms / 1000) + GRACE_MS / 1000;
  const wrk = Bun.spawn(["wrk", "-t1", `-c${load.connections}`, `-d${seconds}s`, ...headers, url], {
    stdout: "pipe",
    stderr: "inherit",
    timeout: 2 * seconds * 1000,
  });
  await Bun.sleep(load.ms);
  wrk.kill("SIGINT");
  const [text, exitCode] = await Promise.all([wrk.stdout.text(), wrk.exited]);
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]);
  const answered = Number(/(\d+) requests in/.exec(text)?.[1]);
  if (exitCode !== 0 || !(perSecond > 0) || text.includes("Non-2xx")) {
    throw new Error(`wrk failed:\n${text}`);
  }
  return { perSecond, answered };
}
