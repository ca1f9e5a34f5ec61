// bun run bench viewer: the trace store and its pages: how long a search takes, how much memory it holds at its
// bound, how soon a page is seen, and how smoothly a long trace scrolls.
import { chromium, type Page } from "playwright-core";
import { startTraceStore, type TraceStore } from "#lib/embedded/traces/index.ts";
import { ORDER_SERVICES } from "#lib/service/services.ts";
import { wholeNumber } from "../shared/command-line.ts";
import { chromiumPath } from "../shared/chromium.ts";
import { spreadOf } from "../shared/figures.ts";
import { figuresTable } from "../shared/markdown-table.ts";
import { readFlags } from "./options.ts";

const SPANS = 50_000;
const SPANS_PER_TRACE = 25;
const LONG_TRACE_SPANS = 10_000;
const SCROLL_FRAMES = 240;
const SCROLL_PX = 260;
const ROUNDS_DEFAULT = 20;

/** Searches of a person, each with what it is. */
const SEARCHES: readonly (readonly [what: string, query: string])[] = [
  ["service and operation", "service=orders&operation=INSERT+orders.orders"],
  ["an attribute of one span", "attribute=order.id%3Do-31007"],
  ["an attribute of every span", "attribute=http.request.method%3DPOST"],
  ["a text in one span", "text=o-31007"],
  ["a text that is nowhere", "text=nothing+like+it"],
  ["failed ones", "status=error"],
  ["longer than 20 ms", "min=20ms"],
  ["all, by operation", "groups=1"],
];

/** Fills a store, and prints the tables. @param args see the usage text */
export async function benchViewer(args: readonly string[]): Promise<void> {
  const flags = readFlags(args, ["rounds"]);
  const rounds = wholeNumber("rounds", flags.rounds, ROUNDS_DEFAULT, { min: 1, max: 1_000 });
  await printMemory();
  const store = await startTraceStore({
    otlpPort: 0,
    queryPort: 0,
    tracesMax: SPANS,
    spansPerTraceMax: LONG_TRACE_SPANS,
    tracesBytesMax: 2 ** 30,
  });
  try {
    fill(store, SPANS);
    await printSearches(store, rounds);
    await printPages(store);
  } finally {
    await store.stop();
  }
}

function fill(store: TraceStore, spans: number): void {
  const traces = spans / SPANS_PER_TRACE;
  for (let trace = 0; trace < traces; trace++) store.importText(traceOf(trace, SPANS_PER_TRACE));
}

/** A trace as OTLP's JSON, of five services; much of it is the same in all, and some of it in none. */
function traceOf(trace: number, count: number): string {
  const traceId = (trace + 1).toString(16).padStart(32, "0");
  const startNs = 1_780_322_400_000_000_000n + BigInt(trace) * 1_000_000n;
  const resourceSpans = ORDER_SERVICES.map((service, at) => ({
    resource: { attributes: [text("service.name", service), text("host.name", `host-${at}`)] },
    scopeSpans: [
      {
        spans: Array.from({ length: Math.ceil(count / ORDER_SERVICES.length) }, (_, i) => {
          const index = i * ORDER_SERVICES.length + at;
          const id = trace * count + index;
          return {
            traceId,
            spanId: (id + 1).toString(16).padStart(16, "0"),
            ...(index > 0 && {
              parentSpanId: (trace * count + Math.floor((index - 1) / 3) + 1)
                .toString(16)
                .padStart(16, "0"),
            }),
            name: [
              "POST /orders",
              "INSERT orders.orders",
              "process order.created",
              "UPDATE",
              "POST /send",
            ][at],
            kind: 2 + (index % 2),
            startTimeUnixNano: String(startNs + BigInt(index) * 100_000n),
            endTimeUnixNano: String(
              startNs + BigInt(index * 100_000 + ((id * 7_919) % 30_000_000)),
            ),
            attributes: [
              text("http.request.method", "POST"),
              text("order.id", `o-${id}`),
              text("customer.id", `c-${id % 1_000}`),
              text("url.path", `/orders/${id}`),
              text("code.file.path", `services/${service}/app.ts`),
            ],
            status: id % 50 === 0 ? { code: 2, message: `the ${id % 7}th thing is away` } : {},
          };
        }),
      },
    ],
  }));
  return JSON.stringify({ resourceSpans });
}

function text(key: string, value: string) {
  return { key, value: { stringValue: value } };
}

async function printSearches(store: TraceStore, rounds: number): Promise<void> {
  const rows: string[][] = [];
  for (const [what, query] of SEARCHES) {
    const times: number[] = [];
    let matched = 0;
    for (let round = 0; round < rounds; round++) {
      const startedMs = performance.now();
      const response = await fetch(`${store.queryUrl}/api/view/traces?${query}`);
      ({ matched } = (await response.json()) as { matched: number });
      times.push(performance.now() - startedMs);
    }
    const { median, max } = spreadOf(times);
    rows.push([what, String(matched), milliseconds(median), milliseconds(max)]);
  }
  console.log(
    `\n${SPANS} spans in ${SPANS / SPANS_PER_TRACE} traces; an answer over HTTP, ${rounds} times\n`,
  );
  console.log(figuresTable(["search", "found", "median", "longest"], rows));
}

/** In a process of its own, as nothing else is to be in its memory. */
async function printMemory(): Promise<void> {
  const child = Bun.spawn([process.execPath, import.meta.path, "memory"], { stdout: "pipe" });
  console.log(await child.stdout.text());
}

async function measureMemory(): Promise<void> {
  const store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
  Bun.gc(true);
  const before = process.memoryUsage.rss();
  let trace = 0;
  while (store.stats().evictedTraces < 500) store.importText(traceOf(trace++, SPANS_PER_TRACE));
  Bun.gc(true);
  const { bytes, spans, traces } = store.stats();
  const grown = process.memoryUsage.rss() - before;
  console.log(
    `the store at its bounds: ${traces} traces, ${spans} spans, ${mebibytes(bytes)} as encoded, ` +
      `${mebibytes(grown)} of memory, ${(grown / bytes).toFixed(1)} times as much`,
  );
  await store.stop();
}

async function printPages(store: TraceStore): Promise<void> {
  store.importText(traceOf(9_999_999, LONG_TRACE_SPANS));
  const longId = (10_000_000).toString(16).padStart(32, "0");
  if (!chromiumPath) return console.log("\nthere is no Chromium: pages were not measured");
  const browser = await chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox"] });
  try {
    const rows: string[][] = [];
    for (const [what, href] of [
      ["all traces", "/"],
      [`a trace of ${LONG_TRACE_SPANS} spans`, `/trace/${longId}`],
      ["the map", "/map"],
      ["metrics", "/metrics-view"],
    ] as const) {
      const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
      await page.goto(store.queryUrl + href, { waitUntil: "networkidle" });
      rows.push([what, ...(await pageFigures(page))]);
      await page.close();
    }
    console.log("\nChromium, nothing kept from before\n");
    console.log(
      figuresTable(["page", "first paint", "contentful", "script and style", "data"], rows),
    );
    const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
    await page.goto(`${store.queryUrl}/trace/${longId}`);
    await page.locator(".row").first().waitFor();
    const frames = await page.evaluate<number[]>(SCROLL);
    const { median, max } = spreadOf(frames);
    const late = frames.filter((ms) => ms > 1_000 / 60 + 2).length;
    console.log(
      `\nscrolling ${LONG_TRACE_SPANS} spans, ${SCROLL_PX} pixels a frame: ${SCROLL_FRAMES} frames, median ` +
        `${milliseconds(median)}, longest ${milliseconds(max)}, ${late} late`,
    );
  } finally {
    await browser.close();
  }
}

/** An expression for the page: how long each frame took while the spans were scrolled. */
const SCROLL = `new Promise((done) => {
  const rows = document.querySelector(".rows");
  const times = [];
  let last = performance.now();
  const frame = (now) => {
    times.push(now - last);
    last = now;
    if (times.length > ${SCROLL_FRAMES}) return done(times.slice(1));
    rows.scrollTop += ${SCROLL_PX};
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})`;

async function pageFigures(page: Page): Promise<string[]> {
  const { paints, sizes } = await page.evaluate<{
    paints: Record<string, number>;
    sizes: { name: string; bytes: number }[];
  }>(`({
    paints: Object.fromEntries(performance.getEntriesByType("paint").map((e) => [e.name, e.startTime])),
    sizes: performance.getEntriesByType("resource").map((e) => ({ name: e.name, bytes: e.encodedBodySize })),
  })`);
  const sum = (isWanted: (name: string) => boolean) =>
    sizes.filter(({ name }) => isWanted(name)).reduce((all, { bytes }) => all + bytes, 0);
  return [
    milliseconds(paints["first-paint"]),
    milliseconds(paints["first-contentful-paint"]),
    kibibytes(sum((name) => name.includes("/assets/"))),
    kibibytes(sum((name) => name.includes("/api/"))),
  ];
}

function milliseconds(value: number | undefined): string {
  return value === undefined ? "–" : `${value.toFixed(1)} ms`;
}

function kibibytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

if (import.meta.main && process.argv[2] === "memory") await measureMemory();
