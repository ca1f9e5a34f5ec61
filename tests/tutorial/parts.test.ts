/** The tutorial's parts between commands: one process, found warm, and gone when nobody wants it. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SQL } from "bun";
import { isListening } from "../../scripts/shared/is-listening.ts";
import { isAlive } from "../../scripts/shared/is-alive.ts";
import { readState, TOKEN_HEADER, type PartsState } from "../../scripts/tutorial/parts.ts";
import { ROOT } from "../../scripts/tutorial/stages.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(90_000);

/** Where the parts write down what they are; and where PostgreSQL's folder is made. */
let folder: string;
let temporaryFolder: string;
/** All that were seen, so that nothing stays behind where a test fails. */
const seen: PartsState[] = [];

beforeEach(() => {
  mkdirSync(join(ROOT, ".orderflow"), { recursive: true });
  folder = mkdtempSync(join(ROOT, ".orderflow/test-parts-"));
  temporaryFolder = mkdtempSync(join(tmpdir(), "orderflow-parts-test-"));
  // For root PostgreSQL runs as another user, who removes its folder here as in /tmp.
  chmodSync(temporaryFolder, 0o1777);
});

afterEach(async () => {
  for (const { pid } of seen.splice(0)) if (isAlive(pid)) process.kill(pid, "SIGKILL");
  await until("no folder of PostgreSQL's is left", () => readdirSync(temporaryFolder).length === 0);
  rmSync(folder, { recursive: true, force: true });
  rmSync(temporaryFolder, { recursive: true, force: true });
});

describe("parts are", () => {
  test("started by the first command, and found warm by the next", async () => {
    const first = await use();
    const second = await use();
    expect(second.pid).toBe(first.pid);
    expect(second.postgresUrl).toBe(first.postgresUrl);
    expect(await rows(second, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    expect((await fetch(`${second.queryUrl}/api/services`)).status).toBe(200);
    expect((await fetch(`${second.otlpUrl}/v1/traces`)).status).toBe(405);
    expect(await stop()).toBe("true");
    await expectGone(first);
    expect(await stop()).toBe("false");
  });

  test("the same for commands that begin at one moment", async () => {
    const all = await Promise.all([use(), use(), use()]);
    expect(new Set(all.map(({ pid }) => pid)).size).toBe(1);
  });

  test("this user's alone: the file is, and without its token nothing is answered", async () => {
    const parts = await use();
    expect(statSync(stateFile()).mode & 0o777).toBe(0o600);
    for (const path of ["/", "/statements?database=postgres", "/stop"]) {
      const method = path === "/stop" ? "POST" : "GET";
      const answer = await fetch(parts.controlUrl + path, {
        method,
        headers: { [TOKEN_HEADER]: "0".repeat(48) },
      });
      expect(answer.status).toBe(403);
    }
    expect((await use()).pid).toBe(parts.pid);
  });

  test("asked for a database's statements, as PostgreSQL got them", async () => {
    const parts = await use();
    await rows(parts, "SELECT 'mine' AS whose");
    const database = new URL(parts.postgresUrl).pathname.slice(1);
    const call = `(await useParts()).statements(${JSON.stringify(database)})`;
    expect(JSON.parse(await inCommand(call))).toContain("SELECT 'mine' AS whose");
    const other = `(await useParts()).statements("postgres")`;
    expect(await inCommand(other)).not.toContain("mine");
  });
});

describe("parts end", () => {
  test("by themselves when nobody asks for a while", async () => {
    const startMs = performance.now();
    const parts = await use({ TUTORIAL_IDLE_MS: "1500" });
    await expectGone(parts);
    expect(performance.now() - startMs).toBeGreaterThan(1_500);
    expect(readdirSync(folder)).not.toContain("parts.json");
  });

  test("when their folder is removed", async () => {
    const parts = await use();
    rmSync(folder, { recursive: true });
    await expectGone(parts);
  });

  test("with PostgreSQL, also where they are killed; the next command starts others", async () => {
    const killed = await use();
    process.kill(killed.pid, "SIGKILL");
    await expectGone(killed);
    expect(readState(stateFile())?.pid).toBe(killed.pid);
    const next = await use();
    expect(next.pid).not.toBe(killed.pid);
    expect(await rows(next, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  });
});

describe("what is written down is not believed where", () => {
  test("another process has that id, which is left alone", async () => {
    // As after a restart of the machine: this test's own process, and a server that knows no token.
    await using server = Bun.serve({ port: 0, fetch: () => new Response(null, { status: 404 }) });
    writeState({ pid: process.pid, controlUrl: server.url.origin });
    expect(await stop()).toBe("false");
    writeState({ pid: process.pid, controlUrl: server.url.origin });
    expect((await use()).pid).not.toBe(process.pid);
  });

  test("nobody answers: parts that hang end when they go on", async () => {
    const hanging = await use();
    process.kill(hanging.pid, "SIGSTOP");
    const next = await use();
    expect(next.pid).not.toBe(hanging.pid);
    process.kill(hanging.pid, "SIGCONT");
    await until("the parts that hung are gone", () => !isAlive(hanging.pid));
    expect((await use()).pid).toBe(next.pid);
  });

  test("another version wrote it: its parts end, and others start", async () => {
    const old = await use();
    writeState({ ...old, version: "of yesterday" });
    const next = await use();
    expect(next.pid).not.toBe(old.pid);
    expect(isAlive(old.pid)).toBeFalse();
  });

  test.each(["", "{", "null", '{"pid":1}'])("it is no state: %p", async (text) => {
    writeFileSync(stateFile(), text);
    expect(await stop()).toBe("false");
  });
});

test("parts that do not start say why, and are tried again by the next command", async () => {
  const lost = join(temporaryFolder, "not-there");
  const said = await inCommand("useParts()", { TMPDIR: lost }).catch(String);
  expect(said).toContain("PostgreSQL and the viewer do not start");
  expect(said).toContain(lost);
  await use();
});

test("parts listen elsewhere where their usual ports are taken, and do not end what is there", async () => {
  const first = await use();
  const otherFolder = mkdtempSync(join(ROOT, ".orderflow/test-parts-"));
  try {
    const second = await use({ TUTORIAL_FOLDER: otherFolder }, otherFolder);
    expect(second.queryUrl).not.toBe(first.queryUrl);
    expect((await use()).pid).toBe(first.pid);
    expect(await inCommand("stopParts()", { TUTORIAL_FOLDER: otherFolder })).toBe("true");
    expect(isAlive(first.pid)).toBeTrue();
  } finally {
    rmSync(otherFolder, { recursive: true });
  }
});

async function use(
  env: Readonly<Record<string, string>> = {},
  where = folder,
): Promise<PartsState> {
  await inCommand("useParts()", env);
  const state = readState(stateFile(where));
  if (!state) throw new Error("the parts have not written down what they are");
  seen.push(state);
  return state;
}

async function stop(): Promise<string> {
  return await inCommand("stopParts()");
}

/** Calls a function of parts.ts as a command does, in a process that ends then. @returns its result as JSON */
async function inCommand(
  call: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const program = `
    const { useParts, stopParts } = await import("./scripts/tutorial/parts.ts");
    await Bun.write(Bun.stdout, JSON.stringify(await ${call}));
    process.exit(0);`;
  const child = Bun.spawn([process.execPath, "-e", program], {
    cwd: ROOT,
    env: { ...process.env, TUTORIAL_FOLDER: folder, TMPDIR: temporaryFolder, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [printed, complaints] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(complaints);
  return printed;
}

async function rows({ postgresUrl }: PartsState, text: string): Promise<unknown[]> {
  await using sql = new SQL(postgresUrl, { max: 1 });
  return [...(await sql.unsafe(text))];
}

/** Process, ports and PostgreSQL's folder. */
async function expectGone({ pid, controlUrl, queryUrl, postgresUrl }: PartsState): Promise<void> {
  await until("the process has ended", () => !isAlive(pid));
  await until("PostgreSQL's folder is gone", () => readdirSync(temporaryFolder).length === 0);
  for (const url of [controlUrl, queryUrl, postgresUrl]) {
    expect(await isListening(Number(new URL(url).port))).toBeFalse();
  }
}

function stateFile(where = folder): string {
  return join(where, "parts.json");
}

function writeState(state: Partial<PartsState>): void {
  const whole = { token: "0".repeat(48), version: "", queryUrl: "", otlpUrl: "", postgresUrl: "" };
  writeFileSync(stateFile(), JSON.stringify({ ...whole, ...state }));
}
