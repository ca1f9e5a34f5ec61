/** The programs of a run: started, watched until they are ready, ended. */
import {
  describeEnd,
  spawnBun,
  type BunProcess,
  type ProcessEnd,
} from "#lib/embedded/bun-process.ts";
import { sleep } from "#lib/waiting/waiting.ts";
import { isListening } from "../../shared/is-listening.ts";
import type { Program } from "../stages.ts";
import { LatestLines, LINE_CHARS_MAX } from "./lines.ts";
import { ReaderError } from "./reader-error.ts";

/** How a program ended that was told to. */
export interface StoppedProgram extends ProcessEnd {
  readonly program: Program;
}

/** What the programs are and where they run; see {@link Programs}. */
export interface ProgramsOptions {
  readonly folder: string;
  /** In the order in which they start. */
  readonly programs: readonly Program[];
  readonly ports: Readonly<Record<Program, number>>;
  /** All of a program's environment. */
  readonly envOf: (program: Program) => Readonly<Record<string, string>>;
  /** Whether the worker's consumer group has a member that got its partitions. */
  readonly isGroupStable: () => Promise<boolean>;
  /** Takes a program that has ended out of its consumer group, as it may not have said that it leaves. */
  readonly evictMembers: (program: Program) => Promise<void>;
  /** Told of each line that a program writes. */
  readonly onLine?: (program: Program, line: string) => void;
  /** Told when a program has ended that was not told to: what happened, and its last lines. */
  readonly onUnexpectedEnd?: (what: ReaderError) => void;
  /** How long a program may take until it is ready. @default 30_000 */
  readonly readyTimeoutMs?: number;
  /** Gives starting up. */
  readonly signal: AbortSignal;
}

const READY_TIMEOUT_MS = 30_000;
const READY_POLL_MS = 25;
const END_TIMEOUT_MS = 5_000;
const LAST_LINES = 12;

/** What a program does when it is ready. */
const READY: Readonly<Record<Program, string>> = {
  gateway: "listened on 127.0.0.1 and PORT",
  orders: "listened on 127.0.0.1 and PORT",
  shipping: "listened on 127.0.0.1 and PORT",
  worker: "was a member of the consumer group `worker`",
};

/** Starts and ends programs, each by its name. */
export class Programs {
  readonly #options: ProgramsOptions;
  readonly #running = new Map<Program, BunProcess>();
  readonly #lines = new Map<Program, LatestLines>();
  readonly #crashes: ReaderError[] = [];

  constructor(options: ProgramsOptions) {
    this.#options = options;
  }

  /** Those that ended without being told to, oldest first. */
  get crashes(): readonly ReaderError[] {
    return this.#crashes;
  }

  /** Whether all programs run. */
  get areAllRunning(): boolean {
    return this.#options.programs.every((program) => this.#running.has(program));
  }

  /** @returns what a program wrote, in all its lives, oldest line first; at most the last 1,000 lines */
  output(program: Program): readonly string[] {
    return this.#lines.get(program)?.all() ?? [];
  }

  clearOutput(): void {
    for (const lines of this.#lines.values()) lines.clear();
  }

  /** Starts all, side by side. @throws ReaderError of the first that does not become ready */
  async startAll(): Promise<void> {
    await Promise.all(this.#options.programs.map((program) => this.start(program)));
  }

  /** @throws ReaderError where it ends before it is ready, or is not in time */
  async start(program: Program): Promise<void> {
    const { folder, envOf, isGroupStable, ports, signal, onLine } = this.#options;
    const { readyTimeoutMs = READY_TIMEOUT_MS } = this.#options;
    signal.throwIfAborted();
    if (this.#running.has(program)) throw new Error(`${program} runs already`);
    const lines = this.#lines.get(program) ?? new LatestLines();
    this.#lines.set(program, lines);
    await this.#options.evictMembers(program);
    signal.throwIfAborted();
    const child = spawnBun(`${program}.ts`, {
      cwd: folder,
      env: envOf(program),
      onLine(line) {
        lines.add(line);
        onLine?.(program, line);
      },
      lineCharsMax: LINE_CHARS_MAX,
      endWithinMs: END_TIMEOUT_MS,
    });
    this.#running.set(program, child);
    void this.#watch(program, child);

    const isReady = async () =>
      await (program === "worker" ? isGroupStable() : isListening(ports[program]));
    const deadlineMs = performance.now() + readyTimeoutMs;
    while (!(await isReady())) {
      if (child.outcome) {
        const how = `${describeEnd(child.outcome)} before it ${READY[program]}`;
        throw new ReaderError(`${program}.ts ${how}${this.#lastLines(program)}`);
      }
      if (performance.now() > deadlineMs) {
        const waited = `${program}.ts runs, but not so that it ${READY[program]}`;
        const within = `within ${readyTimeoutMs / 1000} s`;
        throw new ReaderError(`${waited} ${within}${this.#lastLines(program)}`);
      }
      await sleep(READY_POLL_MS, signal);
    }
  }

  /**
   * Ends programs side by side; those that do not run are passed over.
   * @returns how each ended, in the order of the programs
   */
  async stop(
    signal: "SIGTERM" | "SIGKILL",
    programs: readonly Program[] = this.#options.programs,
  ): Promise<StoppedProgram[]> {
    const stopped = programs.map(async (program) => {
      const end = await this.#running.get(program)?.end(signal);
      return end ? [{ program, ...end }] : [];
    });
    return (await Promise.all(stopped)).flat();
  }

  async #watch(program: Program, child: BunProcess): Promise<void> {
    const end = await child.ended;
    this.#running.delete(program);
    if (child.isEnding) return;
    const what = `${program}.ts ${describeEnd(end)} by itself${this.#lastLines(program)}`;
    const crash = new ReaderError(what);
    this.#crashes.push(crash);
    this.#options.onUnexpectedEnd?.(crash);
  }

  #lastLines(program: Program): string {
    const lines = this.output(program).slice(-LAST_LINES);
    if (lines.length === 0) return "; it wrote nothing";
    return `; its last lines:\n${lines.map((line) => `  ${line}`).join("\n")}`;
  }
}
