/** One service as a process of its own, started through the same entry that runs it alone. */
import { join } from "node:path";
import type { ServiceName } from "#lib/embedded/services.ts";
import { POLL_INTERVAL_MS, until } from "./until.ts";

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
  /** Resolves with the exit status. */
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

const LISTEN_TIMEOUT_MS = 15_000;
const READY_TIMEOUT_MS = 20_000;
/** The contract's 8 s and some for a busy machine. */
const STOP_TIMEOUT_MS = 10_000;
const REPOSITORY = join(import.meta.dir, "../..");

/**
 * Starts a service on a free port and waits until it listens.
 * @param env its variables; nothing of the test's own environment but PATH and HOME goes along
 * @throws Error with what it wrote where it does not come to listen
 */
export async function startServiceProcess(
  name: ServiceName,
  env: Record<string, string>,
): Promise<ServiceProcess> {
  const child = spawnService(name, { PORT: "0", ...env });
  const lines: LogLine[] = [];
  const stderr = { text: "" };
  void readLines(child.stdout, (line) => lines.push(parseLine(line)));
  void readLines(child.stderr, (line) => (stderr.text += `${line}\n`));
  const stop = () => stopChild(child);
  try {
    const listening = await until(
      `${name} listens`,
      () => {
        if (child.exitCode !== null) throw new Error(`${name} ended: ${stderr.text}`);
        return lines.find((line) => line.message === "listening");
      },
      LISTEN_TIMEOUT_MS,
    );
    const url = `http://127.0.0.1:${String(listening["port"])}`;
    return {
      name,
      url,
      pid: child.pid,
      lines,
      exited: child.exited,
      kill: (signal) => child.kill(signal),
      ready: () => waitUntilReady(name, url),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Starts a service whose start is meant to fail. It is ended where it does not end by itself. */
export async function startAndFail(
  name: ServiceName,
  env: Record<string, string>,
): Promise<FailedStart> {
  const child = spawnService(name, env);
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

function spawnService(name: ServiceName, env: Record<string, string>) {
  const { PATH = "/usr/bin:/bin", HOME = "/" } = process.env;
  return Bun.spawn(
    // --no-orphans: it ends with us, even where we are killed.
    [process.execPath, "--no-orphans", "run", `services/${name}/index.ts`],
    {
      cwd: REPOSITORY,
      env: { PATH, HOME, ...env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    },
  );
}

async function waitUntilReady(name: string, url: string): Promise<void> {
  let last = "";
  try {
    await until(
      `${name} is ready`,
      async () => {
        const response = await fetch(`${url}/readyz`);
        last = await response.text();
        return response.status === 200 || undefined;
      },
      READY_TIMEOUT_MS,
      POLL_INTERVAL_MS,
    );
  } catch (cause) {
    throw new Error(`${name} does not become ready: ${last}`, { cause });
  }
}

async function stopChild(child: Bun.Subprocess): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await child.exited;
  clearTimeout(timer);
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  take: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    lines.filter(Boolean).forEach(take);
  }
  if (rest) take(rest);
}

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { message: line, malformed: true };
  }
}
