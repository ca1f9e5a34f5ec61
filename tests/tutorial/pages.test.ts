/** The tutorial's pages show the files that are run, and what runs of them print. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { Slots } from "#lib/waiting/slots.ts";
import { runExperiment } from "../../scripts/tutorial/experiments/experiment.ts";
import { blocksOf, codeIn } from "../../scripts/tutorial/pages/block.ts";
import {
  pageNames,
  pagePath,
  recordingsOf,
  withGenerated,
} from "../../scripts/tutorial/pages/page.ts";
import { createRecorder } from "../../scripts/tutorial/pages/recording.ts";
import { shapeOf } from "../../scripts/tutorial/pages/shape.ts";
import { solutionFiles, startFiles } from "../../scripts/tutorial/stage-files.ts";
import { chromiumPath as chromium } from "../../scripts/shared/chromium.ts";
import { screenshotOf } from "../../scripts/tutorial/screenshots.ts";
import { stageOf, STAGES, type Stage } from "../../scripts/tutorial/stages.ts";
import { startParts, type TestParts } from "../support/tutorial.ts";

const RUN_TIMEOUT_MS = 300_000;
/** With the time in which a run waits for its turn. */
const ALL_RUNS_TIMEOUT_MS = 600_000;
/** A run mostly waits: for programs to start, for spans that may still come. */
const running = new Slots(3);

const pages = pageNames().map((page) => [page, readFileSync(pagePath(page), "utf8")] as const);

test("every stage has its page", () => {
  const missing = STAGES.filter(({ page }) => !existsSync(pagePath(page))).map(({ id }) => id);
  expect(missing).toEqual([]);
});

describe.each(pages)("%s", (page, text) => {
  test("shows a run wherever it promises one (else: … --record all)", () => {
    expect(recordingsOf(text, page)).toBeArray();
  });
});

test.each(STAGES.map((stage) => [stage.id, stage] as const))(
  "the page of stage %s shows every line that the stage adds",
  (_, stage) => {
    const text = readFileSync(pagePath(stage.page), "utf8");
    const shown = new Set(
      blocksOf(text, stage.page)
        .filter(({ kind }) => kind !== "recorded")
        .flatMap(({ content }) => content.split("\n"))
        // Of a difference what is added, and what stays.
        .map((line) => line.replace(/^[+ ]/, "").trim()),
    );
    const before = startFiles(stage);
    for (const [name, solution] of solutionFiles(stage)) {
      const known = new Set((before.get(name) ?? "").split("\n").map((line) => line.trim()));
      const added = solution.split("\n").map((line) => line.trim());
      const hidden = added.filter((line) => line !== "" && !known.has(line) && !shown.has(line));
      expect(hidden, `${name}, on ${stage.page}`).toEqual([]);
    }
  },
);

describe("what is filled in", () => {
  const blocks = [
    "listing: 02/gateway.ts#span",
    "listing: 01/tracing.ts",
    "listing: 00/schema.sql",
    "listing: /lib/telemetry/span.ts@failSpan",
    "diff: 02 orders.ts",
    "diff: 03 http-server.ts",
    "recorded: 03",
  ].map((block) => `<!-- ${block} -->\n\n<!-- end -->`);
  const inList = blocks.map((block) => `1. A step:\n\n   ${block.replaceAll("\n\n", "\n\n   ")}`);
  const inDetails = blocks.map(
    (block) => `<details>\n<summary>All</summary>\n\n${block}\n\n</details>`,
  );

  test.each([
    ["by itself", blocks],
    ["in a list", inList],
    ["folded", inDetails],
  ])("is left alone by the formatter: %s", async (_, parts) => {
    for (const part of parts) {
      const page = `# A page\n\n${part}\n`;
      const filled = await withGenerated(page, "p.md", async () => "trace  1\n ├ GET   █");
      expect(filled.length).toBeGreaterThan(page.length);
      expect(await formatted(filled)).toBe(filled);
      expect(await withGenerated(filled, "p.md")).toBe(filled);
    }
  });

  test("stays as it is recorded where another run differs by ids and times alone", async () => {
    const page = "<!-- recorded: 03 -->\n\n<!-- end -->\n";
    const first = await withGenerated(page, "p.md", async () => "GET  12.0 ms");
    expect(await withGenerated(first, "p.md", async () => "GET  3.1 ms")).toBe(first);
    expect(await withGenerated(first, "p.md", async () => "PUT  3.1 ms")).toContain("PUT  3.1 ms");
    expect(() => recordingsOf(page, "p.md")).toThrow("p.md:1: 03 has not been recorded yet");
  });
});

describe("runs", () => {
  let parts: TestParts;
  beforeAll(async () => {
    parts = await startParts();
  }, RUN_TIMEOUT_MS);
  afterAll(async () => {
    Bun.WebView.closeAll();
    await parts[Symbol.asyncDispose]();
  });

  const recordings = new Map(
    pages.flatMap(([page, text]) =>
      blocksOf(text, page)
        .filter(({ kind, content }) => kind === "recorded" && codeIn(content) !== undefined)
        .map(({ what, content }) => [`${page}: ${what}`, { what, content }]),
    ),
  );
  test.concurrent.each([...recordings])(
    "%s is shown as it goes (else: bun scripts/tutorial/pages/index.ts --record all)",
    async (place, { what, content }) => {
      await running.acquire(AbortSignal.timeout(ALL_RUNS_TIMEOUT_MS));
      using _ = { [Symbol.dispose]: () => running.release() };
      const printed = await createRecorder(parts)(what);
      // Left as it is, but not in silence.
      if (printed === undefined) console.warn(`${place}: what it needs is not on this machine`);
      else expect(shapeOf(printed)).toBe(shapeOf(codeIn(content) ?? ""));
    },
    RUN_TIMEOUT_MS,
  );

  test(
    "of an experiment: its change, one order, and what came of it",
    async () => {
      const printed = await runExperiment(
        {
          about: "the gateway has another name",
          edits: [{ file: "gateway.ts", find: 'Tracing("gateway")', replace: 'Tracing("other")' }],
        },
        stage("02"),
        parts,
      );
      const traces = printed.split(/^(?=trace )/m);
      expect(traces).toHaveLength(3);
      expect(traces.filter((trace) => /^other +hand an order on /m.test(trace))).toHaveLength(1);
    },
    RUN_TIMEOUT_MS,
  );

  test(
    "of a command: it is shown with all that it writes",
    async () => {
      let status: number | null | undefined;
      const printed = await runExperiment(
        {
          about: "a program that fails",
          run: async ({ command }) => {
            const script = "console.log(process.env.A, process.env.POSTGRES_URL); process.exit(3)";
            status = await command(["bun", "-e", script], { A: "1" });
          },
        },
        stage("01"),
        parts,
      );
      expect(printed).toStartWith("$ bun -e ");
      expect(printed).toEndWith("\n1 undefined");
      expect(status).toBe(3);
    },
    RUN_TIMEOUT_MS,
  );

  test(
    "that fail leave neither programs nor files",
    async () => {
      let folder = "";
      let url = "";
      const failing = runExperiment(
        {
          about: "a system that nobody stops",
          run: async (bench) => {
            folder = bench.folder;
            url = (await bench.system({ programs: ["orders"] })).urls.orders;
            throw new Error("no more");
          },
        },
        stage("00"),
        parts,
      );
      await expect(failing).rejects.toThrow("no more");
      expect(existsSync(folder)).toBe(false);
      await expect(fetch(url)).rejects.toThrow();
    },
    RUN_TIMEOUT_MS,
  );

  test.skipIf(!chromium)(
    "can be shown as a picture of the viewer (skipped where there is no Chromium)",
    async () => {
      const never = new AbortController().signal;
      const png = await screenshotOf(stage("02"), parts, chromium ?? "", never);
      const { width, height } = await new Bun.Image(png ?? "").metadata();
      expect(width).toBe(1_200);
      expect(height).toBeWithin(300, 1_500);
      expect(png?.length).toBeLessThan(60_000);
      expect(await screenshotOf(stage("00"), parts, chromium ?? "", never)).toBeUndefined();
    },
    RUN_TIMEOUT_MS,
  );

  test.each([
    ["99", "there is no stage 99"],
    ["01 --nothing", "stage 01 has no experiment nothing; there are:"],
    ["01 --check nothing", "there is no mistake nothing"],
    ["01 check", "a run is NN, NN --experiment"],
    ["01-bytes", "there is no stage 01-bytes; a run is NN, "],
  ])("of %p are refused", async (what, message) => {
    await expect(createRecorder(parts)(what)).rejects.toThrow(message);
  });
});

function stage(id: string): Stage {
  const found = stageOf(id);
  if (!found) throw new Error(`there is no stage ${id}`);
  return found;
}

async function formatted(markdown: string): Promise<string> {
  const child = Bun.spawn([process.execPath, "fmt", "--stdin-filepath=docs/tutorial/p.md"], {
    cwd: `${import.meta.dir}/../..`,
    stdin: Buffer.from(markdown),
    stdout: "pipe",
    stderr: "inherit",
  });
  return await child.stdout.text();
}
