/** A service as a child process: what its starter hears of it. */
import { afterEach, expect, test } from "bun:test";
import { spawnService, type ServiceProcess } from "#lib/embedded/service-process.ts";
import { withTimeout } from "#lib/waiting/waiting.ts";

const TEST_TIMEOUT_MS = 60_000;
const START_TIMEOUT_MS = 30_000;

const running: ServiceProcess[] = [];
afterEach(async () => {
  for (const child of running.splice(0)) await child.end("SIGKILL");
});

/** The e-mail service, which needs nothing to be ready. */
function spawnEmail(env: Record<string, string>) {
  const { PATH = "/usr/bin:/bin", HOME = "/" } = process.env;
  const lines: string[] = [];
  const child = spawnService(
    "email",
    { PATH, HOME, PORT: "0", OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none", ...env },
    (line) => lines.push(line),
  );
  running.push(child);
  return { child, levels: () => lines.map((line) => JSON.parse(line).level as string) };
}

// An unknown propagator is left out with a warning, so that there is one.
const ODD = { OTEL_PROPAGATORS: "no-such-propagator" };

test.each([
  ["debug", ["info", "warn"]],
  ["info", ["info", "warn"]],
  ["warn", ["warn"]],
  ["error", []],
])(
  "LOG_LEVEL=%s: it is seen to listen and to be ready, and only the lines asked for are handed on",
  async (level, heard) => {
    const { child, levels } = spawnEmail({ LOG_LEVEL: level, ...ODD });
    const port = await withTimeout(child.listening, START_TIMEOUT_MS);
    await withTimeout(child.ready, START_TIMEOUT_MS);
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
    expect([...new Set(levels())].sort()).toEqual(heard);
  },
  TEST_TIMEOUT_MS,
);

test(
  "LOG_LEVEL with a word that is none still ends the start with one line that names it",
  async () => {
    const { child } = spawnEmail({ LOG_LEVEL: "loud" });
    expect(await child.ended).toBe("ended with status 1");
    expect(child.lastLines()).toEqual(["LOG_LEVEL must be one of debug, info, warn, error"]);
  },
  TEST_TIMEOUT_MS,
);
