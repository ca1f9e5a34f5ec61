/** One service as a process of its own, for tests that give it an environment of its own. */
import { join } from "node:path";
import { spawnService } from "#lib/embedded/service-process.ts";
import { factsOf, urlVariable, type ServiceName } from "#lib/service/services.ts";
import { withTimeout } from "#lib/waiting/waiting.ts";
import { until } from "./until.ts";

export type { ServiceName };

/** What a service has written to its log, one object a line. */
export type LogLine = Record<string, unknown> & { message: string };

export interface ServiceProcess {
  readonly name: ServiceName;
  /** Base URL, without a slash at its end. */
  readonly url: string;
  readonly pid: number;
  /** The log so far. */
  readonly lines: LogLine[];
  /** Resolves with the exit status, NaN where a signal ended it. */
  readonly exited: Promise<number>;
  kill(signal: NodeJS.Signals): void;
  /** Waits until `GET /readyz` answers 200. */
  ready(): Promise<void>;
  /** SIGTERM, and SIGKILL where that does not end it in time. Safe to call again. */
  stop(): Promise<void>;
}

/** How a start that is meant to fail went. */
export interface FailedStart {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** Variables by which a service finds all whom it calls at one address. */
export function allCalledAt(url: string, name: ServiceName): Record<string, string> {
  return Object.fromEntries(factsOf(name).calls.map((called) => [urlVariable(called), url]));
}

const LISTEN_TIMEOUT_MS = 15_000;
const READY_TIMEOUT_MS = 20_000;

/**
 * Starts a service on a free port and waits until it listens.
 * @param env its variables; of the test's own environment PATH and HOME go along, and which path spans take
 * @throws Error with what it wrote where it does not come to listen
 */
export async function startServiceProcess(
  name: ServiceName,
  env: Record<string, string>,
): Promise<ServiceProcess> {
  const lines: LogLine[] = [];
  const child = spawnService(name, environment({ PORT: "0", ...env }), (line) =>
    lines.push(parseLine(line)),
  );
  const stop = () => child.end("SIGTERM");
  try {
    const port = await withTimeout(child.listening, LISTEN_TIMEOUT_MS);
    const url = `http://127.0.0.1:${port}`;
    return {
      name,
      url,
      pid: child.pid,
      lines,
      exited: child.ended.then((how) => Number(/status (\d+)/.exec(how)?.[1])),
      kill: (signal) => void process.kill(child.pid, signal),
      ready: () => waitUntilReady(name, url),
      stop,
    };
  } catch (cause) {
    await stop();
    throw new Error([`${name} does not listen`, ...child.lastLines()].join("\n  "), { cause });
  }
}

/** Starts a service whose start is meant to fail. It is ended where it does not end by itself. */
export async function startAndFail(
  name: ServiceName,
  env: Record<string, string>,
): Promise<FailedStart> {
  const child = Bun.spawn([process.execPath, "run", `services/${name}/index.ts`], {
    cwd: join(import.meta.dir, "../.."),
    env: environment(env),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), LISTEN_TIMEOUT_MS);
  try {
    const [exitCode, stdout, stderr] = await Promise.all([
      child.exited,
      child.stdout.text(),
      child.stderr.text(),
    ]);
    return { exitCode, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}

function environment(env: Record<string, string>): Record<string, string> {
  const { PATH = "/usr/bin:/bin", HOME = "/", ORDERFLOW_TELEMETRY_SPEED = "" } = process.env;
  return { PATH, HOME, ORDERFLOW_TELEMETRY_SPEED, ...env };
}

async function waitUntilReady(name: string, url: string): Promise<void> {
  let last = "";
  try {
    await until(
      `${name} is ready`,
      async () => {
        const response = await fetch(`${url}/readyz`);
        last = await response.text();
        return response.status === 200;
      },
      READY_TIMEOUT_MS,
    );
  } catch (cause) {
    throw new Error(`${name} does not become ready: ${last}`, { cause });
  }
}

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { message: line, malformed: true };
  }
}
