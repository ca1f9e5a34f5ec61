/**
 * The parts that every stage's run uses, PostgreSQL and the viewer, in a process of their own: the first
 * command that needs them starts it, and later ones find it warm. See parts-process.ts.
 */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { sleep } from "#lib/waiting/waiting.ts";
import { isAlive } from "../shared/is-alive.ts";
import { withLock } from "./lock.ts";
import { ROOT, workspace } from "./stages.ts";

/** Warm parts. */
export interface Parts {
  /** The viewer, and Jaeger's query API. */
  readonly queryUrl: string;
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly otlpUrl: string;
  /** Of an administrator's database, password included: a run makes a database of its own. */
  readonly postgresUrl: string;
  /** @returns what PostgreSQL itself says it got for a database, in its order; the latest of it */
  statements(database: string): Promise<readonly string[]>;
}

/** What a running process has written down about itself. */
export interface PartsState {
  readonly pid: number;
  readonly controlUrl: string;
  /** Without it the control server answers nobody. */
  readonly token: string;
  /** Of another checkout or Bun it is another process. */
  readonly version: string;
  readonly queryUrl: string;
  readonly otlpUrl: string;
  readonly postgresUrl: string;
}

/** Where these are free. Beside the demo's, so that both can run. */
export const USUAL_PORTS = { queryPort: 4010, otlpPort: 4011 } as const;
export const TOKEN_HEADER = "x-tutorial-token";

const PROGRAM = join(import.meta.dir, "parts-process.ts");
const ANSWER_TIMEOUT_MS = 2_000;
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;
const LOOK_INTERVAL_MS = 50;
/** Well within the time after which an idle process ends. */
const KEEP_INTERVAL_MS = 60_000;
const LOG_TAIL_CHARS = 2_000;

type PartsFiles = ReturnType<typeof partsFiles>;

/** @returns where the process writes down what it is, and where what goes wrong with it */
export function partsFiles() {
  const folder = workspace();
  return {
    folder,
    state: join(folder, "parts.json"),
    lock: join(folder, "parts.lock"),
    log: join(folder, "parts.log"),
  };
}

/** Tells checkouts, versions and runtimes apart. */
export function partsVersion(): string {
  const sources = [PROGRAM, join(ROOT, "package.json")].map((file) => readFileSync(file, "utf8"));
  return Bun.hash([ROOT, Bun.version, ...sources].join("\n")).toString(16);
}

/**
 * Gives the parts, started where they are not there. As long as this process lives, they do;
 * after the signal for some minutes more.
 * @throws Error where they do not start, with the last they said; the signal's reason
 */
export async function useParts(signal = new AbortController().signal): Promise<Parts> {
  const files = partsFiles();
  mkdirSync(files.folder, { recursive: true });
  const state = (await running(files.state)) ?? (await startOnce(files, signal));
  const keeping = setInterval(() => void ask(state, "/").catch(() => {}), KEEP_INTERVAL_MS);
  keeping.unref();
  signal.addEventListener("abort", () => clearInterval(keeping), { once: true });
  const { queryUrl, otlpUrl, postgresUrl } = state;
  return {
    queryUrl,
    otlpUrl,
    postgresUrl,
    statements: async (database) => {
      const answer = await ask(state, `/statements?database=${encodeURIComponent(database)}`);
      return (await answer.json()) as string[];
    },
  };
}

/** @returns the parts' viewer, where they run */
export async function runningParts(): Promise<{ readonly queryUrl: string } | undefined> {
  return await running(partsFiles().state);
}

/**
 * Ends the parts, also those of another version.
 * @returns false where none ran
 * @throws Error where they do not end; the signal's reason
 */
export async function stopParts(signal = new AbortController().signal): Promise<boolean> {
  const files = partsFiles();
  if (!existsSync(files.folder)) return false;
  // What another command is starting right now is ended, too.
  const wait = { timeoutMs: START_TIMEOUT_MS, signal };
  return await withLock(files.lock, wait, async () => await endRunning(files.state, signal));
}

async function endRunning(file: string, signal: AbortSignal): Promise<boolean> {
  const state = await running(file, { anyVersion: true });
  // One that hangs sees, should it go on, that the file is not its own any more, and ends.
  if (!state) {
    rmSync(file, { force: true });
    return false;
  }
  await ask(state, "/stop", "POST");
  const deadlineMs = performance.now() + STOP_TIMEOUT_MS;
  while (isAlive(state.pid)) {
    if (performance.now() > deadlineMs) {
      throw new Error(`the parts (process ${state.pid}) do not end; parts.log says more`);
    }
    await sleep(LOOK_INTERVAL_MS, signal);
  }
  return true;
}

/** Two commands at once start one process: the second waits for the first, and looks again. */
async function startOnce(files: PartsFiles, signal: AbortSignal): Promise<PartsState> {
  return await withLock(files.lock, { timeoutMs: START_TIMEOUT_MS, signal }, async () => {
    const found = await running(files.state);
    if (found) return found;
    // What is written there is of a process that is gone, that hangs, or that another version started.
    await endRunning(files.state, signal);
    return await spawnParts(files, signal);
  });
}

async function spawnParts(files: PartsFiles, signal: AbortSignal): Promise<PartsState> {
  const log = openSync(files.log, "w", 0o600);
  const { PATH = "", HOME = "", TMPDIR, TUTORIAL_IDLE_MS } = process.env;
  const child = Bun.spawn([process.execPath, "run", PROGRAM], {
    cwd: ROOT,
    env: {
      PATH,
      HOME,
      TUTORIAL_FOLDER: files.folder,
      ...(TMPDIR !== undefined && { TMPDIR }),
      ...(TUTORIAL_IDLE_MS !== undefined && { TUTORIAL_IDLE_MS }),
    },
    // A session of its own: Ctrl-C ends the command that started it, and not the parts.
    detached: true,
    stdin: "ignore",
    stdout: log,
    stderr: log,
  });
  child.unref();
  closeSync(log);
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const started = await running(files.state);
    if (started) return started;
    const isLate = performance.now() > deadlineMs;
    if (child.exitCode !== null || child.signalCode !== null || isLate) {
      if (isLate) child.kill();
      const said = readFileSync(files.log, "utf8").slice(-LOG_TAIL_CHARS).trim();
      throw new Error(`PostgreSQL and the viewer do not start:\n${said || "they said nothing"}`);
    }
    await sleep(LOOK_INTERVAL_MS, signal);
  }
}

/** @returns what is written down, where the process answers; undefined where that is of the past */
async function running(file: string, { anyVersion = false } = {}): Promise<PartsState | undefined> {
  const state = readState(file);
  if (!state || (!anyVersion && state.version !== partsVersion())) return undefined;
  try {
    const answer = await ask(state, "/");
    return answer.ok ? state : undefined;
  } catch {
    return undefined;
  }
}

/** @returns undefined where the file is not there, or is no state */
export function readState(file: string): PartsState | undefined {
  try {
    const state = JSON.parse(readFileSync(file, "utf8")) as PartsState;
    return typeof state.controlUrl === "string" && typeof state.token === "string"
      ? state
      : undefined;
  } catch {
    return undefined;
  }
}

/** @throws Error where it does not answer in time, or takes our token for another's */
async function ask({ controlUrl, token }: PartsState, path: string, method = "GET") {
  const answer = await fetch(`${controlUrl}${path}`, {
    method,
    headers: { [TOKEN_HEADER]: token },
    signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    // Else the environment's, which fetch takes for this machine as well.
    proxy: false,
  });
  if (!answer.ok) throw new Error(`the parts answered ${answer.status}`);
  return answer;
}
