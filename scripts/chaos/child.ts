/** A program that is killed and started again: the same command each time, a log file for each life. */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { endProcess } from "#lib/embedded/bun-process.ts";

export interface ChildOptions {
  readonly name: string;
  /** Arguments for bun; `life` counts the starts from 1. */
  readonly args: (life: number) => readonly string[];
  /** Its variables; of our own environment only PATH and HOME go along. */
  readonly env: Readonly<Record<string, string>>;
  /** Where the logs go. */
  readonly folder: string;
  /** Told when it ends and nobody here has ended it. */
  readonly onUnexpectedEnd: (what: string) => void;
}

export interface Child {
  readonly name: string;
  /** The log of each life so far; standard output and standard error in one. */
  readonly logFiles: readonly string[];
  start(): void;
  /** Sends SIGKILL and waits for its end. */
  kill(): Promise<void>;
  /** Sends SIGTERM. @returns its exit status and how long it took; SIGKILL after 20 s */
  terminate(): Promise<{ exitCode: number | null; durationMs: number }>;
  /** SIGSTOP: it keeps its memory, its connections stay open and silent. */
  freeze(): void;
  thaw(): void;
}

const TERMINATE_TIMEOUT_MS = 20_000;
const ROOT = join(import.meta.dir, "../..");

export function createChild(options: ChildOptions): Child {
  const { name } = options;
  const logFiles: string[] = [];
  let running: Bun.Subprocess | undefined;

  const end = async (signal: "SIGKILL" | "SIGTERM") => {
    const ending = running;
    if (!ending) return { exitCode: null, durationMs: 0 };
    running = undefined;
    const startedMs = performance.now();
    await endProcess(ending, signal, TERMINATE_TIMEOUT_MS);
    return { exitCode: ending.exitCode, durationMs: performance.now() - startedMs };
  };

  const watch = async (child: Bun.Subprocess) => {
    await child.exited;
    if (running !== child) return;
    running = undefined;
    const how = `status ${child.exitCode}, signal ${child.signalCode}`;
    options.onUnexpectedEnd(`${name} ended by itself: ${how}`);
  };

  return {
    name,
    logFiles,
    start() {
      const life = logFiles.length + 1;
      const logFile = join(options.folder, `${name}-${life}.log`);
      logFiles.push(logFile);
      // A file and no pipe: what it wrote before it was killed is there, to the last line.
      const log = openSync(logFile, "w");
      const { PATH = "/usr/bin:/bin", HOME = "/" } = process.env;
      const child = Bun.spawn([process.execPath, "--no-orphans", ...options.args(life)], {
        cwd: ROOT,
        env: { PATH, HOME, ...options.env },
        stdin: "ignore",
        stdout: log,
        stderr: log,
      });
      closeSync(log);
      running = child;
      void watch(child);
    },
    kill: async () => void (await end("SIGKILL")),
    terminate: () => end("SIGTERM"),
    freeze: () => running?.kill("SIGSTOP"),
    thaw: () => running?.kill("SIGCONT"),
  };
}
