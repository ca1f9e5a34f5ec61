// `bun run viewer`: the store alone, with files that are shown and a file that keeps what comes.
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportOf, sendTraces, traceIdOf } from "./support/otlp-traces.ts";

const TIMEOUT_MS = 30_000;
const SCRIPT = join(import.meta.dir, "../scripts/viewer.ts");
let folder: string;
const running: Bun.Subprocess<"ignore", "pipe", "pipe">[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "orderflow-viewer-command-"));
});
afterEach(async () => {
  for (const child of running.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

function run(...args: string[]): Bun.Subprocess<"ignore", "pipe", "pipe"> {
  const child = Bun.spawn([process.execPath, SCRIPT, ...args], {
    env: { ...process.env, OTLP_PORT: "0", JAEGER_PORT: "0" },
    stdout: "pipe",
    stderr: "pipe",
    cwd: folder,
  });
  running.push(child);
  return child;
}

/** @returns what it says until it is ready, and where it listens */
async function ready(child: ReturnType<typeof run>) {
  let said = "";
  for await (const chunk of child.stdout) {
    said += Buffer.from(chunk).toString();
    if (said.includes("Ctrl-C ends it.")) break;
  }
  const [, query = ""] = /Traces are at (\S+)/.exec(said) ?? [];
  const [, otlp = ""] = /OTEL_EXPORTER_OTLP_ENDPOINT=(\S+)/.exec(said) ?? [];
  return { said, query, otlp };
}

async function tracesAt(query: string): Promise<string[]> {
  const answer = (await (await fetch(`${query}/api/view/traces`)).json()) as {
    traces: { name: string }[];
  };
  return answer.traces.map(({ name }) => name);
}

test(
  "says where it is and what to set, and shows the files that it is given",
  async () => {
    const file = join(folder, "given.json");
    await Bun.write(file, exportOf([{ id: 1, name: "from a file" }]));
    const child = run(file);
    const { said, query } = await ready(child);
    expect(said).toContain(`${file}: 1 spans`);
    expect(await tracesAt(query)).toEqual(["from a file"]);
    child.kill("SIGINT");
    expect(await child.exited).toBe(0);
  },
  TIMEOUT_MS,
);

test(
  "keeps what comes, and has it again when it is started the next time",
  async () => {
    const kept = join(folder, "kept.jsonl");
    const first = run("--keep", kept);
    const { otlp } = await ready(first);
    await sendTraces(otlp, [{ id: 1, trace: 1, name: "one" }]);
    await sendTraces(otlp, [{ id: 2, trace: 2, name: "two" }]);
    first.kill("SIGTERM");
    expect(await first.exited).toBe(0);
    const lines = (await Bun.file(kept).text()).trimEnd().split("\n");
    expect(lines.map((line) => Object.keys(JSON.parse(line) as object))).toEqual([
      ["resourceSpans"],
      ["resourceSpans"],
    ]);
    const second = run("--keep", kept);
    const { query } = await ready(second);
    expect(await tracesAt(query)).toEqual(["two", "one"]);
    // What it held is not written again.
    second.kill("SIGTERM");
    await second.exited;
    expect((await Bun.file(kept).text()).trimEnd().split("\n")).toEqual(lines);
    expect(lines.join()).toContain(traceIdOf(2));
  },
  TIMEOUT_MS,
);

test.each([
  [["nowhere.json"], "there is no file nowhere.json"],
  [["--nothing"], "--nothing"],
])(
  "%j is refused",
  async (args, message) => {
    const child = run(...args);
    expect(await child.exited).toBe(1);
    const said = await child.stderr.text();
    expect(said).toContain(message);
    expect(said).toContain("Usage:");
  },
  TIMEOUT_MS,
);

test(
  "a file that is none of the kinds it knows is named, and nothing is started",
  async () => {
    await Bun.write(join(folder, "odd.json"), "[1]");
    const child = run("odd.json");
    expect(await child.exited).toBe(1);
    expect(await child.stderr.text()).toContain("odd.json: neither OTLP's JSON nor Jaeger's");
  },
  TIMEOUT_MS,
);

test(
  "bun run traces lists, searches, follows and draws what the store has",
  async () => {
    const store = run();
    const { otlp, query } = await ready(store);
    await sendTraces(otlp, [{ id: 1, trace: 1, name: "quick" }]);
    await sendTraces(otlp, [
      { id: 2, trace: 2, name: "slow\u001b[31m", durationMs: 50, failed: true },
      ...[3, 4, 5].map((id) => ({ id, parent: 2, trace: 2, name: "step" })),
    ]);
    const traces = (...args: string[]) =>
      Bun.spawn(
        [process.execPath, join(import.meta.dir, "../scripts/traces.ts"), "--url", query, ...args],
        {
          stdout: "pipe",
          stderr: "pipe",
        },
      );
    const said = async (...args: string[]) => await traces(...args).stdout.text();
    const listed = (await said()).trimEnd().split("\n");
    expect(listed).toHaveLength(2);
    expect(listed[0]).toMatch(
      /^0{31}1 {2}\d\d:\d\d:\d\d {6}1\.0 ms {5}1 span, 1 service {2}shop quick$/,
    );
    expect(listed[1]).toEndWith("shop slow�[31m  ✗ 1");
    expect(await said("list", "--status", "error")).toBe(`${listed[1]}\n`);
    expect(await said("--trace", traceIdOf(2))).toContain("step × 3");
    const following = traces("follow", "--min", "10ms");
    running.push(following as never);
    const reader = following.stdout.getReader();
    const decoded = async () => Buffer.from((await reader.read()).value ?? []).toString();
    expect(await decoded()).toBe(`${listed[1]}\n`);
    await sendTraces(otlp, [{ id: 9, trace: 9, name: "later", durationMs: 20 }]);
    expect(await decoded()).toContain("shop later");
    const failing = traces(traceIdOf(77));
    expect([await failing.exited, (await failing.stderr.text()).trim()]).toEqual([
      1,
      "there is no such trace here",
    ]);
  },
  TIMEOUT_MS,
);
