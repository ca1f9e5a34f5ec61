/**
 * The process behind the tutorial's commands: PostgreSQL and the viewer, warm between them.
 *
 * It writes down where it is in TUTORIAL_FOLDER/parts.json, and ends when it is told to, when nobody has
 * asked for a while (TUTORIAL_IDLE_MS, 15 minutes by default), and when that file is not its own any more.
 */
import { chmodSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { startPostgres } from "#lib/embedded/postgres.ts";
import { startTraceStore, type TraceStore } from "#lib/embedded/traces/index.ts";
import { settledWithin } from "#lib/waiting/waiting.ts";
import {
  partsFiles,
  partsVersion,
  readState,
  TOKEN_HEADER,
  USUAL_PORTS,
  type PartsState,
} from "./parts.ts";
import { PARTS_SETTINGS, StatementLog } from "./statement-log.ts";

const IDLE_MS = Number(process.env["TUTORIAL_IDLE_MS"]) || 15 * 60_000;
const LOOK_INTERVAL_MS = Math.min(2_000, IDLE_MS / 4);
const STOP_TIMEOUT_MS = 12_000;
const ANSWER_TIMEOUT_MS = 500;

const files = partsFiles();
const token = crypto.getRandomValues(new Uint8Array(24)).toHex();
const ending = Promise.withResolvers<string>();
let askedMs = performance.now();
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
  process.once(signal, () => ending.resolve(`got ${signal}`));
}

const log = new StatementLog();
const [store, postgres] = await Promise.all([
  startStore(),
  startPostgres({ settings: PARTS_SETTINGS, onLog: (text) => log.add(text) }),
]);
const control = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
writeDown({
  pid: process.pid,
  controlUrl: `http://127.0.0.1:${control.port}`,
  token,
  version: partsVersion(),
  queryUrl: store.queryUrl,
  otlpUrl: store.otlpUrl,
  postgresUrl: postgres.url,
});
const looking = setInterval(look, LOOK_INTERVAL_MS);

console.log(`ends: ${await ending.promise}`);
clearInterval(looking);
if (readState(files.state)?.token === token) rmSync(files.state, { force: true });
// Whatever hangs, this process does not: PostgreSQL's supervisor sees it go, and ends the server.
setTimeout(() => process.exit(1), STOP_TIMEOUT_MS).unref();
// Whoever told it to end gets an answer first.
await settledWithin(control.stop(), ANSWER_TIMEOUT_MS);
await Promise.all([control.stop(true), store.stop(), postgres.stop()]);
process.exit(0);

/** Only who has read the state file is answered: it is this user's alone. */
function answer(request: Request): Response {
  if (request.headers.get(TOKEN_HEADER) !== token) return new Response(null, { status: 403 });
  askedMs = performance.now();
  const { pathname, searchParams } = new URL(request.url);
  if (request.method === "POST" && pathname === "/stop") {
    ending.resolve("was told to");
    return new Response(null, { status: 202 });
  }
  if (request.method !== "GET") return new Response(null, { status: 405 });
  if (pathname === "/statements") {
    return Response.json(log.statements(searchParams.get("database") ?? ""));
  }
  return new Response(null, { status: pathname === "/" ? 204 : 404 });
}

function look(): void {
  if (performance.now() - askedMs > IDLE_MS) ending.resolve("nobody asked for a while");
  else if (readState(files.state)?.token !== token) ending.resolve("its state file is gone");
}

/** All of it or nothing: a reader never sees half a file. */
function writeDown(state: PartsState): void {
  const temporary = `${files.state}.${process.pid}`;
  writeFileSync(temporary, JSON.stringify(state, null, 2), { mode: 0o600 });
  chmodSync(temporary, 0o600);
  renameSync(temporary, files.state);
}

/** At the ports that the pages name, where these are free. */
async function startStore(): Promise<TraceStore> {
  try {
    return await startTraceStore(USUAL_PORTS);
  } catch {
    return await startTraceStore({ queryPort: 0, otlpPort: 0 });
  }
}
