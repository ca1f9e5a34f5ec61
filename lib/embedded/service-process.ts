/** One service as a process of its own: where it listens, when it is ready, how it ends. */
import { join } from "node:path";

/** See {@link spawnService}. */
export interface ServiceProcess {
  readonly pid: number;
  /** When it was spawned, on the clock of performance.now(), in milliseconds. */
  readonly startedMs: number;
  /** The port it listens on; rejects with what went wrong where it ends before it listens. */
  readonly listening: Promise<number>;
  /** Resolves when it says that it is ready; rejects with what went wrong where it ends before. */
  readonly ready: Promise<void>;
  /** Resolves when it has ended, with how: "ended with status 1". */
  readonly ended: Promise<string>;
  /** Whether {@link end} was called. */
  readonly isEnding: boolean;
  /** @returns the end of what it wrote, oldest line first */
  lastLines(): readonly string[];
  /** Sends a signal, SIGKILL after 10 s; resolves when the process has ended. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
}

const ROOT = join(import.meta.dir, "../..");
/** The contract promises 8 s. */
const END_TIMEOUT_MS = 10_000;
const TAIL_LINES_MAX = 12;
const LINE_CHARS_MAX = 16_384;

/**
 * Starts a service through the entry that also runs alone.
 *
 * Where it listens and that it is ready it says at level info. So it logs at that level, whatever
 * LOG_LEVEL is; what its caller did not ask for then stays here.
 *
 * --no-orphans ends it when this process goes away, even by SIGKILL. It is in a session of its own:
 * Ctrl-C in a terminal is for our process, which then stops the services in their order.
 *
 * @param name its folder under services/
 * @param env all of its environment
 * @param onLine told of each line on standard output and standard error
 * @param checkout the folder whose services/ it is in
 */
export function spawnService(
  name: string,
  env: Readonly<Record<string, string>>,
  onLine: (line: string) => void,
  checkout = ROOT,
): ServiceProcess {
  const level = env["LOG_LEVEL"];
  const isQuiet = level === "warn" || level === "error";
  const isUnwanted = (lineLevel: unknown) =>
    isQuiet && (lineLevel === "info" || (lineLevel === "warn" && level === "error"));
  const child = Bun.spawn(
    [process.execPath, "--no-orphans", "run", join("services", name, "index.ts")],
    {
      cwd: checkout,
      env: isQuiet ? { ...env, LOG_LEVEL: "info" } : env,
      detached: true,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  const startedMs = performance.now();
  const listening = Promise.withResolvers<number>();
  const ready = Promise.withResolvers<void>();
  const tail: string[] = [];
  let isEnding = false;

  const hear = (line: string) => {
    tail.push(line);
    if (tail.length > TAIL_LINES_MAX) tail.shift();
    const { message, port, level: lineLevel } = parseLogLine(line);
    if (message === "listening" && typeof port === "number") listening.resolve(port);
    if (message === "ready") ready.resolve();
    if (!isUnwanted(lineLevel)) onLine(line);
  };
  const heard = Promise.all([readLines(child.stdout, hear), readLines(child.stderr, hear)]);

  const ended = (async () => {
    // What it wrote last comes before its end; a pipe that its own children still hold is not waited for.
    await child.exited;
    await Promise.race([heard, Bun.sleep(500)]);
    const how = child.signalCode
      ? `was ended by ${child.signalCode}`
      : `ended with status ${child.exitCode}`;
    const error = new Error(how);
    listening.reject(error);
    ready.reject(error);
    return how;
  })();
  // Both are also told by `ended`: not every caller looks at them.
  listening.promise.catch(() => {});
  ready.promise.catch(() => {});

  return {
    pid: child.pid,
    startedMs,
    listening: listening.promise,
    ready: ready.promise,
    ended,
    get isEnding() {
      return isEnding;
    },
    lastLines: () => tail,
    async end(signal) {
      isEnding = true;
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), END_TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** A line that is not ours, as Bun's own words on a crash, has none of these. */
function parseLogLine(line: string): { message?: unknown; port?: unknown; level?: unknown } {
  try {
    return Object(JSON.parse(line));
  } catch {
    return {};
  }
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    // A line without an end would grow without bound.
    rest = (lines.pop() ?? "").slice(0, LINE_CHARS_MAX);
    for (const line of lines) onLine(line);
  }
  if (rest) onLine(rest);
}
