/** A program on Bun as a process of its own: what it writes, how it ends, and that it does not outlive us. */

/** How a process ended. */
export interface ProcessEnd {
  /** null where a signal ended it. */
  readonly exitCode: number | null;
  /** The signal that ended it: SIGKILL where it did not end at SIGTERM in time. */
  readonly signal: string | null;
  /** From the signal that was sent to the end, in milliseconds; 0 where none was sent. */
  readonly ms: number;
}

/** See {@link spawnBun}. */
export interface BunProcess {
  readonly pid: number;
  /** Resolves when it has ended, and what it wrote has been told of. */
  readonly ended: Promise<ProcessEnd>;
  /** How it ended; undefined while it runs. */
  readonly outcome: ProcessEnd | undefined;
  /** Whether {@link end} was called. */
  readonly isEnding: boolean;
  /** Sends a signal, SIGKILL where it does not end in time; resolves when it has ended. Safe to call again. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<ProcessEnd>;
}

/** A pipe that a process's own children still hold is not waited for longer. */
const DRAIN_TIMEOUT_MS = 500;
const LINE_CHARS_MAX = 16_384;

/**
 * Starts a file.
 *
 * --no-orphans ends it when this process goes away, even by SIGKILL. It is in a session of its own:
 * Ctrl-C in a terminal is for our process, which then ends the others in their order.
 */
export function spawnBun(
  file: string,
  options: {
    readonly cwd: string;
    /** All of its environment. */
    readonly env: Readonly<Record<string, string>>;
    /** Told of each line on standard output and standard error. */
    readonly onLine: (line: string) => void;
    /** A longer line is cut. @default 16,384 */
    readonly lineCharsMax?: number;
    /** So long it may take to end. */
    readonly endWithinMs: number;
  },
): BunProcess {
  const { cwd, env, onLine, lineCharsMax, endWithinMs } = options;
  const child = Bun.spawn([process.execPath, "--no-orphans", "run", file], {
    cwd,
    env,
    detached: true,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const heard = Promise.all(
    [child.stdout, child.stderr].map((stream) => readLines(stream, onLine, lineCharsMax)),
  );
  let askedMs: number | undefined;
  let outcome: ProcessEnd | undefined;
  const ended = (async () => {
    await child.exited;
    const ms = askedMs === undefined ? 0 : performance.now() - askedMs;
    // What it wrote last comes before its end.
    await Promise.race([heard, Bun.sleep(DRAIN_TIMEOUT_MS)]);
    const signal = child.signalCode === null ? null : String(child.signalCode);
    return (outcome = { exitCode: child.exitCode, signal, ms });
  })();
  return {
    pid: child.pid,
    ended,
    get outcome() {
      return outcome;
    },
    get isEnding() {
      return askedMs !== undefined;
    },
    async end(signal) {
      askedMs ??= performance.now();
      await endProcess(child, signal, endWithinMs);
      return await ended;
    },
  };
}

/** For a person: "ended with status 1". */
export function describeEnd({ exitCode, signal }: ProcessEnd): string {
  return signal ? `was ended by ${signal}` : `ended with status ${exitCode}`;
}

/** Sends a signal, and SIGKILL where the process has not ended in time; resolves when it has. */
export async function endProcess(
  child: Bun.Subprocess,
  signal: NodeJS.Signals,
  withinMs: number,
): Promise<void> {
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), withinMs);
  await child.exited;
  clearTimeout(timer);
}

/** Reads a stream to its end, and tells of each line; a longer one is cut. */
export async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
  charsMax = LINE_CHARS_MAX,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    // A line without an end would grow without bound.
    rest = (lines.pop() ?? "").slice(0, charsMax);
    for (const line of lines) onLine(line.slice(0, charsMax));
  }
  if (rest) onLine(rest);
}
