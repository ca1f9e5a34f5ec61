/** One service as a process of its own: where it listens, when it is ready, how it ends. */
import { join } from "node:path";
import { describeEnd, spawnBun } from "./bun-process.ts";

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

/**
 * Starts a service through the entry that also runs alone.
 *
 * Where it listens and that it is ready it says at level info. So it logs at that level, whatever
 * LOG_LEVEL is; what its caller did not ask for then stays here.
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
  const startedMs = performance.now();
  const listening = Promise.withResolvers<number>();
  const ready = Promise.withResolvers<void>();
  const tail: string[] = [];

  const hear = (line: string) => {
    tail.push(line);
    if (tail.length > TAIL_LINES_MAX) tail.shift();
    const { message, port, level: lineLevel } = parseLogLine(line);
    if (message === "listening" && typeof port === "number") listening.resolve(port);
    if (message === "ready") ready.resolve();
    if (!isUnwanted(lineLevel)) onLine(line);
  };
  const child = spawnBun(join("services", name, "index.ts"), {
    cwd: checkout,
    env: isQuiet ? { ...env, LOG_LEVEL: "info" } : env,
    onLine: hear,
    endWithinMs: END_TIMEOUT_MS,
  });
  const ended = child.ended.then((end) => {
    const how = describeEnd(end);
    const error = new Error(how);
    listening.reject(error);
    ready.reject(error);
    return how;
  });
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
      return child.isEnding;
    },
    lastLines: () => tail,
    end: async (signal) => void (await child.end(signal)),
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
