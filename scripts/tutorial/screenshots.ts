/**
 * Pictures of the viewer for the pages: `bun scripts/tutorial/screenshots.ts [NN …]` runs each stage's solution,
 * places an order, and takes docs/tutorial/images/NN.png of its trace.
 *
 * It needs Chromium: the one that CHROMIUM names, or `chromium` on the path.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { spansOf, type OtlpTrace } from "#lib/embedded/traces/otlp.ts";
import { sleep } from "#lib/waiting/waiting.ts";
import { startParts } from "../../tests/support/tutorial.ts";
import { chromiumPath } from "../shared/chromium.ts";
import { interruption } from "../shared/interruption.ts";
import type { Parts } from "./parts.ts";
import { quiet } from "./quiet.ts";
import { CHAPTER, solutionOf, stageOf, STAGES, type Stage } from "./stages.ts";
import { startSystem } from "./system/index.ts";

const IMAGES = join(CHAPTER, "images");
const WIDTH_PX = 1_200;
const HEIGHT_PX = 800;
const HEIGHT_MAX_PX = 2_000;
const MARGIN_PX = 16;
/** A few services' colours on white; letters keep their smooth edges. */
const COLORS = 64;
/** Pages are read over slow lines as well. */
const IMAGE_BYTES_MAX = 60_000;
const PAGE_TIMEOUT_MS = 10_000;
const TRACE_TIMEOUT_MS = 6_000;
const POLL_MS = 50;

/** Expressions for the page: where its heading begins, and where the spans and what it tells of the first one end. */
const TRACE_EDGES = `({
  top: document.querySelector("main h1").getBoundingClientRect().top,
  bottom: document.querySelector(".trace").getBoundingClientRect().bottom,
})`;
const ROWS = `Number(document.querySelector("[role=treegrid]")?.getAttribute("aria-rowcount") ?? 0)`;

/**
 * Runs a stage's solution and takes a picture of its largest trace.
 * @param chromium path of the program; the first one that a process uses is the one that all of it uses
 * @returns a PNG; undefined where the stage makes no trace
 * @throws Error where the viewer does not show the trace in time
 */
export async function screenshotOf(
  stage: Stage,
  parts: Parts,
  chromium: string,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const trace = await largestTrace(stage, parts, signal);
  if (!trace) return undefined;
  const url = `${parts.queryUrl}/trace/${spansOf(trace)[0]?.span.traceId}`;
  // A sandbox of Chromium's own is not to be had by root, nor in most containers; what it opens is ours.
  const argv = ["--no-sandbox", "--hide-scrollbars", "--force-color-profile=srgb"];
  await using view = new Bun.WebView({
    backend: { type: "chrome", url: false, path: chromium, argv },
    width: WIDTH_PX,
    height: HEIGHT_PX,
  });
  await view.navigate(url);
  await untilDrawn(view, spansOf(trace).length, signal);
  const { top, bottom } = await view.evaluate<{ top: number; bottom: number }>(TRACE_EDGES);
  const height = Math.min(Math.ceil(bottom - top) + 2 * MARGIN_PX, HEIGHT_MAX_PX);
  const { data } = await view.cdp<{ data: string }>("Page.captureScreenshot", {
    format: "png",
    captureBeyondViewport: true,
    clip: { x: 0, y: Math.max(0, top - MARGIN_PX), width: WIDTH_PX, height, scale: 1 },
  });
  const image = new Bun.Image(Buffer.from(data, "base64"));
  return await image.png({ palette: true, colors: COLORS, compressionLevel: 9 }).bytes();
}

async function largestTrace(
  stage: Stage,
  parts: Parts,
  signal: AbortSignal,
): Promise<OtlpTrace | undefined> {
  const folder = solutionOf(stage);
  await using system = await startSystem({ folder, stage, parts, signal });
  await system.placeOrder();
  await system.spansWhen(quiet(), TRACE_TIMEOUT_MS);
  return system.traces().toSorted((a, b) => spansOf(b).length - spansOf(a).length)[0];
}

/** The store may get the last spans a moment after us; the page shows them when they come. */
async function untilDrawn(view: Bun.WebView, spans: number, signal: AbortSignal): Promise<void> {
  const deadlineMs = performance.now() + PAGE_TIMEOUT_MS;
  for (;;) {
    const rows = await view.evaluate<number>(ROWS);
    if (rows >= spans) return;
    if (performance.now() > deadlineMs) {
      throw new Error(`the viewer shows ${rows} of ${spans} spans`);
    }
    await sleep(POLL_MS, signal);
  }
}

async function main(ids: readonly string[]): Promise<number> {
  const unknown = ids.find((id) => !stageOf(id));
  if (unknown !== undefined) {
    console.error(`there is no stage ${unknown}`);
    return 2;
  }
  if (!chromiumPath) {
    console.log("there is no Chromium: set CHROMIUM to the path of one; no picture was taken");
    return 0;
  }
  const interrupted = interruption(() => {});
  await using parts = await startParts();
  mkdirSync(IMAGES, { recursive: true });
  for (const stage of STAGES.filter(({ id }) => ids.length === 0 || ids.includes(id))) {
    const image = await screenshotOf(stage, parts, chromiumPath, interrupted);
    if (!image) console.log(`${stage.id}: no trace`);
    else if (image.length > IMAGE_BYTES_MAX) throw new Error(`${stage.id}: ${image.length} bytes`);
    else {
      await Bun.write(join(IMAGES, `${stage.id}.png`), image);
      console.log(`${stage.id}: ${image.length} bytes`);
    }
  }
  return 0;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
