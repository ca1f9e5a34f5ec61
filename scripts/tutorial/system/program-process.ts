/** One program of a stage as a process: how it starts, what it writes, how it ends. */
import { readLines } from "./lines.ts";

/** How a program ended. */
export interface ProgramEnd {
  /** null where a signal ended it. */
  readonly exitCode: number | null;
  /** The signal that ended it: SIGKILL where it did not end at SIGTERM in time. */
  readonly signal: string | null;
  /** From the signal that was sent to the end, in milliseconds; 0 where none was sent. */
  readonly ms: number;
}

/** See {@link spawnProgram}. */
export interface ProgramProcess {
  readonly pid: number;
  /** How it ended; undefined while it runs. */
  readonly end: ProgramEnd | undefined;
  /** Whether {@link stop} was called. */
  readonly isStopping: boolean;
  /** Resolves when it has ended, and what it wrote has been read. */
  readonly ended: Promise<ProgramEnd>;
  /** Sends a signal, SIGKILL 5 s later; resolves when it has ended. Safe to call again. */
  stop(signal: "SIGTERM" | "SIGKILL"): Promise<ProgramEnd>;
}

const STOP_TIMEOUT_MS = 5_000;
/** A pipe that a program's own children still hold is not waited for longer. */
const DRAIN_TIMEOUT_MS = 500;

/**
 * Starts `<name>.ts` of a folder.
 *
 * --no-orphans ends it when this process goes away, even by SIGKILL. It is in a session of its own:
 * Ctrl-C in a terminal is for our process, which then stops the programs.
 * @param env all of its environment
 * @param onLine told of each line on standard output and standard error
 */
export function spawnProgram(
  folder: string,
  name: string,
  env: Readonly<Record<string, string>>,
  onLine: (line: string) => void,
): ProgramProcess {
  const child = Bun.spawn([process.execPath, "--no-orphans", "run", `${name}.ts`], {
    cwd: folder,
    env,
    detached: true,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const read = Promise.all([readLines(child.stdout, onLine), readLines(child.stderr, onLine)]);
  let end: ProgramEnd | undefined;
  let stoppedAtMs: number | undefined;

  const ended = (async () => {
    await child.exited;
    const ms = stoppedAtMs === undefined ? 0 : performance.now() - stoppedAtMs;
    // What it wrote last is heard before its end is told.
    await Promise.race([read, Bun.sleep(DRAIN_TIMEOUT_MS)]);
    return (end = { exitCode: child.exitCode, signal: nameOf(child.signalCode), ms });
  })();

  return {
    pid: child.pid,
    get end() {
      return end;
    },
    get isStopping() {
      return stoppedAtMs !== undefined;
    },
    ended,
    async stop(signal) {
      stoppedAtMs ??= performance.now();
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      return await ended.finally(() => clearTimeout(timer));
    },
  };
}

function nameOf(signal: string | number | null): string | null {
  return signal === null ? null : String(signal);
}
