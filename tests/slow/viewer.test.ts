// The viewer as people use it: in a real browser, over a store that real programs could have filled.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { startTraceStore, type TraceStore } from "#lib/embedded/traces/index.ts";
import { chromiumPath, openPage, startBrowser, type WatchedPage } from "../support/browser.ts";
import { LOGS_FILE, METRICS_FILE, TRACE_FILE } from "../support/foreign-files.ts";
import {
  attributesOf,
  DAY_MS,
  sendOpenSpans,
  sendTraces,
  spanIdOf,
  traceIdOf,
  type MadeSpan,
} from "../support/otlp-traces.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;
const WAIT_MS = 15_000;
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

let browser: Browser;
let store: TraceStore;
let opened: WatchedPage[] = [];

beforeAll(async () => {
  if (chromiumPath !== undefined) browser = await startBrowser();
}, TIMEOUT_MS);
afterAll(async () => {
  await browser?.close();
}, TIMEOUT_MS);

afterEach(async () => {
  const problems = opened.flatMap((one) => one.problems);
  for (const { page } of opened) await page.context().close();
  opened = [];
  await store?.stop();
  expect(problems).toEqual([]);
}, TIMEOUT_MS);

async function start(options: Parameters<typeof startTraceStore>[0] = {}): Promise<void> {
  store = await startTraceStore({ otlpPort: 0, queryPort: 0, ...options });
}

async function open(path: string, viewport?: { width: number; height: number }): Promise<Page> {
  const watched = await openPage(browser, store.queryUrl, viewport);
  opened.push(watched);
  watched.page.setDefaultTimeout(WAIT_MS);
  await watched.page.goto(store.queryUrl + path);
  return watched.page;
}

const send = (spans: readonly MadeSpan[]) => sendTraces(store.otlpUrl, spans);

/** Waits until an expression is what it should be, and says what it was where it never is. */
async function eventually(ask: () => Promise<unknown>, wanted: unknown): Promise<void> {
  const giveUpAtMs = performance.now() + WAIT_MS;
  let answer = await ask();
  while (!Bun.deepEquals(answer, wanted) && performance.now() < giveUpAtMs) {
    await Bun.sleep(30);
    answer = await ask();
  }
  expect(answer).toEqual(wanted);
}

const titles = (page: Page) => page.locator(".traces .title").allTextContents();
const rowOf = (page: Page, span: number) => page.locator(`.row[data-span-id="${spanIdOf(span)}"]`);
const namesOf = (rows: Locator) => rows.locator(".what").allTextContents();

/** A shop's request: an order placed, one statement again and again, and a call that failed. */
const SHOP: MadeSpan[] = [
  { id: 1, service: "web", name: "POST /orders", kind: 2, durationMs: 100 },
  {
    id: 2,
    parent: 1,
    service: "web",
    name: "POST",
    kind: 3,
    startMs: 5,
    durationMs: 80,
    attributes: {
      "url.full": "http://shop:81/orders?x=1",
      "server.address": "shop",
      "server.port": 81,
      "http.request.method": "POST",
    },
  },
  { id: 3, parent: 2, name: "POST /orders", kind: 2, startMs: 10, durationMs: 70 },
  ...Array.from({ length: 9 }, (_, i) => ({
    id: 10 + i,
    parent: 3,
    name: "SELECT items",
    kind: 3,
    startMs: 12 + i * 4,
    durationMs: 3,
    attributes: {
      "db.system.name": "postgresql",
      "db.query.text": "SELECT * FROM items WHERE id = $1",
    },
  })),
  {
    id: 30,
    parent: 3,
    name: "POST",
    kind: 3,
    startMs: 60,
    durationMs: 10,
    failed: true,
    message: "the mail server is away",
    attributes: { "error.type": "503", customer: "ada" },
  },
];

describe.if(chromiumPath !== undefined)("all traces", () => {
  test(
    "appear by themselves, newest first, and wait while paused",
    async () => {
      await start();
      const page = await open("/");
      await page.getByText("No traces yet").waitFor();
      await send([{ id: 1, trace: 1, name: "first" }]);
      await eventually(() => titles(page), ["shop first"]);
      await page.getByRole("button", { name: "Pause" }).click();
      await send([{ id: 2, trace: 2, name: "second" }]);
      await page.getByText("1 changed since").waitFor();
      expect(await titles(page)).toEqual(["shop first"]);
      await page.getByRole("button", { name: "Go on" }).click();
      await eventually(() => titles(page), ["shop second", "shop first"]);
    },
    TIMEOUT_MS,
  );

  test(
    "are searched by each of the fields, and the address keeps what was asked",
    async () => {
      await start();
      await send([
        {
          id: 1,
          trace: 1,
          service: "a",
          name: "GET /x",
          durationMs: 5,
          attributes: { customer: "ada" },
        },
        { id: 2, trace: 2, service: "b", name: "GET /y", durationMs: 500, failed: true },
        {
          id: 3,
          trace: 3,
          service: "a",
          name: "GET /y",
          durationMs: 50,
          attributes: { customer: "Bob" },
        },
      ]);
      const page = await open("/");
      const field = (name: string) => page.locator(`.search [name="${name}"]`);
      const cases: [fill: () => Promise<unknown>, wanted: string[], parameter: string][] = [
        [() => field("service").selectOption("b"), ["b GET /y"], "service=b"],
        [() => field("operation").fill("GET /y"), ["b GET /y", "a GET /y"], "operation=GET+%2Fy"],
        [() => field("attribute").fill("customer=ada"), ["a GET /x"], "attribute=customer%3Dada"],
        [() => field("attribute").fill("customer"), ["a GET /y", "a GET /x"], "attribute=customer"],
        [() => field("text").fill("bOB"), ["a GET /y"], "text=bOB"],
        [() => field("status").selectOption("error"), ["b GET /y"], "status=error"],
        [() => field("min").fill("40 ms"), ["b GET /y", "a GET /y"], "min=40+ms"],
        [() => field("max").fill("40ms"), ["a GET /x"], "max=40ms"],
      ];
      for (const [fill, wanted, parameter] of cases) {
        await page.goto(store.queryUrl);
        await fill();
        await page.getByRole("button", { name: "Search" }).click();
        await eventually(() => titles(page), wanted);
        expect(new URL(page.url()).search).toContain(parameter);
        await page.reload();
        await eventually(() => titles(page), wanted);
      }
      await page.goto(`${store.queryUrl}/?min=soon`);
      await page.getByText("min is no duration").waitFor();
      opened[0]?.problems.splice(0); // the browser tells of the 400 as well
    },
    TIMEOUT_MS,
  );

  test(
    "arrive while somebody writes into a field, and what is written stays",
    async () => {
      await start();
      const page = await open("/");
      const field = page.locator(".search [name=text]");
      await field.pressSequentially("an ord");
      await send([{ id: 1, trace: 1, name: "first" }]);
      await eventually(() => titles(page), ["shop first"]);
      await field.pressSequentially("er");
      expect(await field.inputValue()).toBe("an order");
    },
    TIMEOUT_MS,
  );

  test(
    "are points over time, of which a part is chosen by dragging",
    async () => {
      await start();
      const page = await open("/");
      await page.getByText("No traces yet").waitFor();
      for (let i = 0; i < 5; i++) {
        await send([{ id: 1, trace: i + 1, name: `at ${i}`, startMs: i * 1_000, durationMs: 10 }]);
      }
      await eventually(async () => (await titles(page)).length, 5);
      // The page was there before the traces: it is drawn when there is something to draw.
      const canvas = "document.querySelector('.points canvas')";
      await eventually(() => page.evaluate(`${canvas}.width > 1000`), true);
      const box = await page.locator(".points canvas").boundingBox();
      if (!box) throw new Error("nothing is drawn");
      await page.mouse.move(box.x + box.width * 0.4, box.y + 4);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width - 2, box.y + box.height - 20, { steps: 4 });
      await page.mouse.up();
      await eventually(() => titles(page), ["shop at 4", "shop at 3", "shop at 2"]);
      await page.getByRole("button", { name: "any time" }).click();
      await page.goBack();
      await eventually(() => titles(page), ["shop at 4", "shop at 3", "shop at 2"]);
    },
    TIMEOUT_MS,
  );

  test(
    "are grouped by operation, with rates, errors and percentiles",
    async () => {
      await start();
      for (let i = 0; i < 10; i++) {
        await send([{ id: 1, trace: i + 1, name: "GET /x", durationMs: i + 1, failed: i === 9 }]);
      }
      const page = await open("/?view=operations");
      const row = page.locator("table.groups tbody tr");
      await row.first().waitFor();
      expect(await row.locator("td").allTextContents()).toEqual([
        "shop",
        "GET /x",
        "10",
        "10.00",
        "1 (10 %)",
        "6.00 ms",
        "10.0 ms",
        "10.0 ms",
      ]);
      await row.getByRole("link", { name: "GET /x" }).click();
      await eventually(async () => (await titles(page)).length, 10);
    },
    TIMEOUT_MS,
  );

  test(
    "arrive in eight pages of one browser, and go on when the one that heard of them is closed",
    async () => {
      await start();
      const first = await open("/");
      const pages = [first];
      for (let i = 1; i < 8; i++) {
        const page = await first.context().newPage();
        page.setDefaultTimeout(WAIT_MS);
        await page.goto(store.queryUrl);
        pages.push(page);
      }
      for (const page of pages) await page.getByText("live").first().waitFor();
      await send([{ id: 1, trace: 1, name: "first" }]);
      for (const page of pages) await eventually(() => titles(page), ["shop first"]);
      await first.close();
      await send([{ id: 2, trace: 2, name: "second" }]);
      for (const page of pages.slice(1)) {
        await eventually(() => titles(page), ["shop second", "shop first"]);
      }
    },
    TIMEOUT_MS,
  );

  test(
    "go on arriving when the store was started again under the page",
    async () => {
      await start();
      await send([{ id: 1, trace: 1, name: "before" }]);
      const page = await open("/");
      await eventually(() => titles(page), ["shop before"]);
      const { otlpPort, queryPort } = store;
      await store.stop();
      await page.getByText("not connected").waitFor();
      await start({ otlpPort, queryPort });
      await send([{ id: 1, trace: 2, name: "after" }]);
      await eventually(() => titles(page), ["shop after"]);
      opened[0]?.problems.splice(0); // the browser tells of the connections that were refused
    },
    TIMEOUT_MS,
  );
});

describe.if(chromiumPath !== undefined)("one trace", () => {
  test(
    "is a tree: repeats in one row, N+1 named, calls say where to, failures marked",
    async () => {
      await start();
      await send(SHOP);
      const page = await open(`/trace/${traceIdOf(1)}`);
      await rowOf(page, 1).waitFor();
      expect(await namesOf(page.locator(".row"))).toEqual([
        "POST /orders",
        "POST",
        "POST /orders",
        "SELECT items",
        "POST",
      ]);
      expect(await rowOf(page, 2).textContent()).toContain("shop:81/orders");
      const fold = page.locator(".row.fold");
      expect(await fold.locator(".badge").allTextContents()).toEqual(["× 9", "N+1"]);
      await fold.click();
      await eventually(() => page.locator(".row").count(), 14);
      expect(await rowOf(page, 30).getAttribute("class")).toContain("failed");
      // Not folded at all.
      await page.getByRole("button", { name: "Fold repeats" }).click();
      await eventually(() => page.locator(".row").count(), 13);
    },
    TIMEOUT_MS,
  );

  test(
    "that has not ended is found, grows, and is a trace as any other when it has",
    async () => {
      await start();
      const startMs = Date.now() - DAY_MS - 3_000;
      const root = { id: 1, service: "web", name: "GET /slow", kind: 2, startMs };
      const call = { id: 2, parent: 1, service: "web", name: "waits", startMs };
      await sendOpenSpans(store.otlpUrl, "web-1", [root, call]);
      await send([{ id: 3, parent: 2, name: "done already", startMs, durationMs: 5 }]);
      const page = await open("/?service=web&text=slow");
      await page.locator(".traces a").filter({ hasText: "2 still open" }).click();
      await eventually(() => namesOf(page.locator(".row")), ["GET /slow", "waits", "done already"]);
      await eventually(
        () => page.locator(".row .badge").allTextContents(),
        ["still open", "still open"],
      );
      const took = rowOf(page, 1).locator(".took");
      const first = await took.textContent();
      expect(first).toEndWith("so far");
      await until("it has grown", async () => (await took.textContent()) !== first, WAIT_MS);
      await page.getByRole("button", { name: "2 spans have not ended" }).click();
      await page.locator(".details").getByText("It has not ended yet").waitFor();
      // A page that is open sees how it ends: one by one, as they come.
      await send([{ ...call, durationMs: 4_000 }]);
      await page.getByText("1 span has not ended").waitFor();
      await sendOpenSpans(store.otlpUrl, "web-1", []);
      await send([{ ...root, durationMs: 4_500 }]);
      await eventually(() => took.textContent(), "4.50 s");
      expect(await page.locator(".row .badge").count()).toBe(0);
      await page.goBack();
      await eventually(() => page.locator(".traces .badge").count(), 0);
    },
    TIMEOUT_MS,
  );

  test(
    "is moved in by keys; what is hidden says how many, and how many of them failed",
    async () => {
      await start();
      await send(SHOP);
      const page = await open(`/trace/${traceIdOf(1)}`);
      await rowOf(page, 1).waitFor();
      const grid = page.getByRole("treegrid");
      await grid.focus();
      const chosen = () => page.locator(".details").getAttribute("data-span-id");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("ArrowDown");
      await eventually(chosen, spanIdOf(3));
      await page.keyboard.press("ArrowLeft");
      const row = rowOf(page, 3);
      await eventually(() => row.getAttribute("aria-expanded"), "false");
      expect(await row.locator(".badge").textContent()).toBe("10 hidden, 1 failed");
      await page.keyboard.press("ArrowLeft");
      await eventually(chosen, spanIdOf(2));
      // A failed one that is hidden is shown when it is asked for.
      await page.keyboard.press("e");
      await eventually(chosen, spanIdOf(30));
      await eventually(() => row.getAttribute("aria-expanded"), "true");
      await page.keyboard.press("Home");
      await eventually(chosen, spanIdOf(1));
      const active = await grid.getAttribute("aria-activedescendant");
      expect(await page.locator(`#${active}`).getAttribute("data-span-id")).toBe(spanIdOf(1));
      await page.keyboard.press("?");
      await page.getByRole("dialog").waitFor();
    },
    TIMEOUT_MS,
  );

  test(
    "is searched by any attribute, and shows what was found alone",
    async () => {
      await start();
      await send(SHOP);
      const page = await open(`/trace/${traceIdOf(1)}`);
      await rowOf(page, 1).waitFor();
      await page.keyboard.press("/");
      await page.keyboard.type("customer=ada");
      await page.keyboard.press("Enter");
      await eventually(() => page.locator(".details").getAttribute("data-span-id"), spanIdOf(30));
      await page.getByLabel("these only").check();
      await eventually(
        () => namesOf(page.locator(".row")),
        ["POST /orders", "POST", "POST /orders", "POST"],
      );
      expect(new URL(page.url()).searchParams.get("find")).toBe("customer=ada");
    },
    TIMEOUT_MS,
  );

  test(
    "has an address for each span; links lead there and back, across traces",
    async () => {
      await start();
      await send(SHOP);
      await send([{ id: 90, trace: 9, name: "relay", links: [{ trace: 1, span: 30 }] }]);
      const page = await open(`/trace/${traceIdOf(1)}?span=${spanIdOf(30)}`);
      const details = page.locator(".details");
      await details.getByText("the mail server is away").waitFor();
      await details.getByRole("link", { name: "shop relay of trace" }).click();
      await eventually(() => details.getAttribute("data-span-id"), spanIdOf(90));
      await details.getByRole("link", { name: `span ${spanIdOf(30)}` }).click();
      await eventually(() => details.getAttribute("data-span-id"), spanIdOf(30));
      await page.goBack();
      await eventually(() => details.getAttribute("data-span-id"), spanIdOf(90));
    },
    TIMEOUT_MS,
  );

  test(
    "tells that its root ended before it did, of parents that are missing, and of clocks that differ",
    async () => {
      await start();
      await send([
        { id: 1, service: "web", name: "call", kind: 3, durationMs: 20 },
        { id: 2, parent: 1, service: "far", name: "answer", kind: 2, startMs: 500, durationMs: 10 },
        { id: 3, parent: 77, name: "lost", startMs: 3 },
      ]);
      const page = await open(`/trace/${traceIdOf(1)}`);
      await page.getByText("Its root ended after 20.0 ms").waitFor();
      await page.getByText("1 span names a parent that is not here").waitFor();
      await page.getByRole("button", { name: "Correct it" }).click();
      await rowOf(page, 2).click();
      await page.getByText("5.00 ms after the start").waitFor();
    },
    TIMEOUT_MS,
  );

  test(
    "grows while it is looked at, and is there when it comes after the page",
    async () => {
      await start();
      const page = await open(`/trace/${traceIdOf(1)}`);
      await page.getByText("There is no such trace here, or not yet").waitFor();
      opened[0]?.problems.splice(0); // the browser tells of the 404
      await send(SHOP.slice(0, 3));
      await eventually(() => page.locator(".row").count(), 3);
      await send(SHOP.slice(3));
      await eventually(() => page.locator(".row").count(), 5);
    },
    TIMEOUT_MS,
  );

  test(
    "is a flame graph and a table as well",
    async () => {
      await start();
      await send(SHOP);
      const page = await open(`/trace/${traceIdOf(1)}?view=table`);
      const rows = page.locator(".table .row");
      await rows.first().waitFor();
      expect(await rows.first().getAttribute("data-span-id")).toBe(spanIdOf(1));
      await page.getByRole("columnheader", { name: "Own time" }).getByRole("button").click();
      // 70 ms, of which nine statements of 3 ms and a call of 10 ms are not its own.
      await eventually(
        () => rows.first().getByRole("cell").allTextContents(),
        ["shop", "POST /orders", "server", "10.0 ms", "70.0 ms", "33.0 ms", "10"],
      );
      await page.getByRole("button", { name: "Flame" }).click();
      const canvas = page.locator(".flame canvas");
      const box = await canvas.boundingBox();
      await canvas.click({ position: { x: (box?.width ?? 0) * 0.62, y: 50 } });
      await eventually(() => page.locator(".details").getAttribute("data-span-id"), spanIdOf(3));
    },
    TIMEOUT_MS,
  );

  test(
    "of ten thousand spans has few rows in the page, wherever it is scrolled to",
    async () => {
      await start({ spansPerTraceMax: 20_000 });
      const spans = Array.from({ length: 10_000 }, (_, i) => ({
        id: i + 1,
        ...(i > 0 && { parent: Math.floor((i - 1) / 3) + 1 }),
        name: `step ${i}`,
        startMs: i / 10,
        durationMs: 1,
      }));
      for (let at = 0; at < spans.length; at += 2_000) await send(spans.slice(at, at + 2_000));
      const page = await open(`/trace/${traceIdOf(1)}`);
      await rowOf(page, 1).waitFor();
      const grid = page.getByRole("treegrid");
      expect(await grid.getAttribute("aria-rowcount")).toBe("10000");
      expect(await page.locator(".row").count()).toBeLessThan(100);
      await grid.focus();
      await page.keyboard.press("End");
      await eventually(() => page.locator('.row[aria-rowindex="10000"]').count(), 1);
      // On paper all are drawn that anybody would print.
      const print = "dispatchEvent(new Event('beforeprint'))";
      const rows = "document.querySelectorAll('.row').length";
      expect(await page.evaluate(`${print}; Promise.resolve().then(() => ${rows})`)).toBe(2_000);
      await page.evaluate("dispatchEvent(new Event('afterprint'))");
      await eventually(() => page.locator('.row[aria-rowindex="10000"]').count(), 1);
      await eventually(async () => (await page.locator(".row").count()) < 100, true);
    },
    TIMEOUT_MS,
  );

  test(
    "shows hostile names and values as text, and a value of ten million characters in part",
    async () => {
      await start();
      const MARKUP = `<img src=x onerror="document.title='taken'"><script>document.title='taken'</script>`;
      await send([
        {
          id: 1,
          service: MARKUP,
          name: `${MARKUP} \u0000\u001b[31m`,
          failed: true,
          message: MARKUP,
          attributes: { [MARKUP]: MARKUP, rtl: "\u202eabc", long: "x".repeat(10_000_000) },
        },
      ]);
      const page = await open(`/trace/${traceIdOf(1)}`);
      await rowOf(page, 1).waitFor();
      expect(await page.locator("#app img, #app script").count()).toBe(0);
      expect(await page.title()).toContain("<img");
      await page.getByText("… 10,000,000 characters").waitFor();
      await page.goto(store.queryUrl);
      await page.locator(".traces li").waitFor();
      expect(await page.locator("#app img, #app script").count()).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "gives each service a colour of its own",
    async () => {
      await start();
      await send(Array.from({ length: 30 }, (_, i) => ({ id: i + 1, service: `service ${i}` })));
      const page = await open(`/trace/${traceIdOf(1)}`);
      await page.locator(".facts .swatch").first().waitFor();
      const colors = await page
        .locator(".facts .swatch")
        .evaluateAll((all) =>
          all.map((one) => (one as { style?: { background?: string } }).style?.background),
        );
      expect(new Set(colors).size).toBe(30);
    },
    TIMEOUT_MS,
  );

  test(
    "copies a call as curl, with a trace of its own, and a statement as SQL",
    async () => {
      await start();
      await send(SHOP);
      const page = await open(`/trace/${traceIdOf(1)}?span=${spanIdOf(2)}`);
      const copy = async (name: string) => {
        await page.getByRole("button", { name }).click();
        await page.getByRole("button", { name: `${name}: copied` }).waitFor();
        return await page.evaluate("navigator.clipboard.readText()");
      };
      const curl = String(await copy("Copy as curl"));
      expect(curl).toMatch(/^# Reconstructed/);
      expect(curl).toContain("curl -i -X POST 'http://shop:81/orders?x=1'");
      expect(curl).toMatch(/traceparent: 00-(?!0{31}1)[0-9a-f]{32}-[0-9a-f]{16}-01'/);
      await page.goto(`${store.queryUrl}/trace/${traceIdOf(1)}?span=${spanIdOf(10)}`);
      expect(await copy("Copy as SQL")).toContain("SELECT * FROM items WHERE id = $1;");
      expect(await copy("Copy as a test")).toContain('"db.system.name": "postgresql"');
    },
    TIMEOUT_MS,
  );
});

describe.if(chromiumPath !== undefined)("a span, opened", () => {
  test(
    "says of its attributes what the conventions say, and where",
    async () => {
      await start();
      await send([
        { id: 1, attributes: { "http.request.method": "GET", "http.method": "GET", mine: "1" } },
      ]);
      const page = await open(`/trace/${traceIdOf(1)}`);
      const key = (name: string) =>
        page.locator(".details").getByRole("button", { name, exact: true });
      await key("http.request.method").click();
      await page.getByText("HTTP request method.").waitFor();
      const link = page.getByRole("link", { name: "registry" });
      expect(await link.getAttribute("href")).toBe(
        "https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/",
      );
      expect(await page.locator(".convention .badge").textContent()).toBe("stable");
      await key("http.method").click();
      await page.getByText("Replaced by `http.request.method`").waitFor();
      expect(await key("mine").count()).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "says why it is so, in the words of the chapter",
    async () => {
      await start();
      await send(SHOP);
      const page = await open(`/trace/${traceIdOf(1)}?span=${spanIdOf(2)}`);
      await page.getByText("Why it is so").click();
      const why = page.locator(".why");
      await why.getByText("this process waits for another one").waitFor();
      expect(await why.locator("dd .faint").first().textContent()).toBe(
        "docs/tutorial/04-http-out.md",
      );
      expect(await why.getByRole("link").getAttribute("href")).toEndWith("#http-client-span");
    },
    TIMEOUT_MS,
  );

  test(
    "is bytes, of which those of the chosen field light up",
    async () => {
      await start();
      await send([{ id: 0xab, name: "hello", attributes: { k: "v" } }]);
      const page = await open(`/trace/${traceIdOf(1)}`);
      await page.getByText("OTLP's bytes").click();
      const field = page.locator(".bytes li button").filter({ hasText: /\bname\b/ });
      await field.click();
      const lit = await page.locator(".hex .lit").allTextContents();
      // Field 5, a text of five bytes.
      expect(lit.join("").trim()).toBe(
        `2a 05 ${Buffer.from("hello")
          .toString("hex")
          .replaceAll(/..(?=.)/g, "$& ")}`,
      );
      await page.locator(".bytes li button").filter({ hasText: "spanId" }).click();
      expect((await page.locator(".hex .lit").allTextContents()).at(-1)).toBe(" ab");
    },
    TIMEOUT_MS,
  );
});

describe.if(chromiumPath !== undefined)("beyond one trace", () => {
  const PLAIN: MadeSpan[] = [
    { id: 1, trace: 2, service: "web", name: "POST /orders", kind: 2, durationMs: 30 },
    { id: 2, trace: 2, parent: 1, service: "web", name: "POST", kind: 3, durationMs: 25 },
    { id: 3, trace: 2, parent: 2, name: "POST /orders", kind: 2, durationMs: 20 },
    { id: 4, trace: 2, parent: 3, name: "SELECT items", kind: 3, durationMs: 4 },
    { id: 5, trace: 2, parent: 3, name: "SELECT prices", kind: 3, durationMs: 4 },
  ];

  test(
    "two traces are compared by structure: what came, what went, how often, how much slower",
    async () => {
      await start();
      await send(SHOP);
      await send(PLAIN);
      const page = await open(`/trace/${traceIdOf(2)}`);
      await page.getByText("Compare", { exact: true }).click();
      await page.locator(".menu li a").click();
      await page.getByText("Two traces").waitFor();
      expect(new URL(page.url()).pathname).toBe(`/compare/${traceIdOf(1)}/${traceIdOf(2)}`);
      const rows = page.locator(".compare tbody tr");
      const told = () =>
        rows.evaluateAll((all) =>
          all.map((row) => {
            const { children } = row as unknown as { children: { textContent: string }[] };
            return [children[0], children[3]].map((cell) => cell?.textContent.trim());
          }),
        );
      expect(await told()).toEqual([
        ["web POST /orders", "▼ −70.0 ms (× 0.30)"],
        ["web POST", "▼ −55.0 ms (× 0.31)"],
        ["shop POST /orders", "▼ −50.0 ms (× 0.29)"],
        ["shop SELECT items", "− 9 → 1 times, −23.0 ms"],
        ["shop POST", "− went"],
        ["shop SELECT prices", "+ came"],
      ]);
      await page.getByRole("link", { name: "The other way round" }).click();
      await eventually(async () => (await told()).at(-1), ["shop POST", "+ came"]);
    },
    TIMEOUT_MS,
  );

  test(
    "a request under another name is compared with what it was before",
    async () => {
      await start();
      await send([
        { id: 1, trace: 1, name: "GET /list", kind: 2, durationMs: 9 },
        { id: 2, trace: 1, parent: 1, name: "SELECT a", kind: 3 },
        { id: 1, trace: 2, name: "GET /list-slow", kind: 2, durationMs: 99 },
        { id: 2, trace: 2, parent: 1, name: "SELECT a", kind: 3 },
        { id: 3, trace: 2, parent: 1, name: "SELECT a", kind: 3 },
      ]);
      const page = await open(`/compare/${traceIdOf(1)}/${traceIdOf(2)}`);
      const rows = page.locator(".compare tbody tr");
      await rows.first().waitFor();
      expect(await rows.locator("th").allTextContents()).toEqual([
        "shop GET /list → GET /list-slow",
        "shop SELECT a",
      ]);
      expect(await rows.last().locator("td").last().textContent()).toBe("+ 1 → 2 times, +1.00 ms");
      // Both stand on one scale of time: 99 ms is the whole of it.
      const bars = rows.first().locator(".times span");
      const widths = await bars.evaluateAll((all) =>
        all.map((bar) => Number.parseFloat((bar as { style: { width: string } }).style.width)),
      );
      expect(widths.map(Math.round)).toEqual([9, 100]);
    },
    TIMEOUT_MS,
  );

  test(
    "the map shows who calls whom, databases and topics too, and how much of it failed",
    async () => {
      await start();
      await send(SHOP);
      const topic = { "messaging.destination.name": "orders", "messaging.operation.name": "send" };
      await send([
        { id: 40, parent: 3, name: "send orders", kind: 3, startMs: 70, attributes: topic },
        {
          id: 41,
          parent: 40,
          service: "worker",
          name: "process orders",
          kind: 5,
          startMs: 80,
          attributes: { ...topic, "messaging.operation.name": "process" },
        },
      ]);
      const page = await open("/map");
      await page.locator(".map .node").first().waitFor();
      const nodes = await page.locator(".map .node-name").allTextContents();
      expect(nodes.toSorted()).toEqual(["orders", "postgresql", "shop", "web", "worker"]);
      const calls = page.locator("table.groups tbody tr");
      const told = await calls.evaluateAll((all) =>
        all.map((row) => {
          const { children } = row as unknown as { children: { textContent: string }[] };
          return [0, 1, 2].map((i) => children[i]?.textContent);
        }),
      );
      expect(told.toSorted()).toEqual([
        ["orders", "worker", "1"],
        ["shop", "orders", "1"],
        ["shop", "postgresql", "9"],
        ["web", "shop", "1"],
      ]);
      await page.locator(".map .node.service").filter({ hasText: "worker" }).click();
      await eventually(() => Promise.resolve(new URL(page.url()).search), "?service=worker");
    },
    TIMEOUT_MS,
  );

  test(
    "metrics are lines over time: rates of counters, percentiles of histograms, exemplars lead to traces",
    async () => {
      await start();
      await send(SHOP);
      for (const [step, counts] of [
        [0, [0, 0, 0]],
        [10, [90, 9, 1]],
      ] as const) {
        await sendMetrics(step, counts);
      }
      const page = await open("/metrics-view");
      await page.getByRole("link", { name: "orders.placed" }).click();
      const legend = page.locator(".u-legend");
      await legend.waitFor();
      expect(await page.locator("table.groups tbody tr").allTextContents()).toEqual([
        "shop {kind=web}100",
      ]);
      await page.getByRole("link", { name: "http.server.request.duration" }).click();
      await legend.getByText("p99").waitFor();
      expect(await page.locator("table.groups td").last().textContent()).toBe(
        "100 times, 20.0 ms on average",
      );
      await page.getByRole("link", { name: "70.0 ms at" }).click();
      await eventually(() => page.locator(".details").getAttribute("data-span-id"), spanIdOf(3));
      // And back: the span says what was measured in it.
      await page
        .locator(".details")
        .getByRole("link", { name: "http.server.request.duration" })
        .click();
      await legend.getByText("p99").waitFor();
    },
    TIMEOUT_MS,
  );

  test(
    "traces are saved to a file, and opened again from it, by another store",
    async () => {
      await start();
      await send(SHOP);
      await sendLogs([{ body: "order placed", severity: 9, span: 3 }]);
      const page = await open(`/trace/${traceIdOf(1)}`);
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("link", { name: "Save" }).click(),
      ]);
      const saved = await Bun.file(await download.path()).bytes();
      expect(download.suggestedFilename()).toBe(`trace-${traceIdOf(1)}.jsonl`);
      await store.stop();
      await start();
      const other = await open("/");
      const input = other.locator("input[type=file]");
      await input.setInputFiles(jsonFile("saved.jsonl", Buffer.from(saved)));
      await other.getByText("saved.jsonl: 13 spans, 1 log record").waitFor();
      await eventually(() => titles(other), ["web POST /orders"]);
      await input.setInputFiles(jsonFile("odd.json", Buffer.from("{}")));
      await other.getByText("odd.json: neither OTLP's JSON nor Jaeger's").waitFor();
      for (const { problems } of opened) problems.splice(0); // a 400, and the first store's end
    },
    TIMEOUT_MS,
  );

  test(
    "files of programs in other languages are read: spans, values of all kinds, logs, all kinds of metrics",
    async () => {
      await start();
      const page = await open("/");
      const files = { trace: TRACE_FILE, logs: LOGS_FILE, metrics: METRICS_FILE };
      await page
        .locator("input[type=file]")
        .setInputFiles(
          Object.entries(files).map(([name, content]) =>
            jsonFile(`${name}.json`, Buffer.from(JSON.stringify(content, null, 2))),
          ),
        );
      await page.getByText("metrics.json:").waitFor();
      await eventually(() => titles(page), ["checkout.web HTTP GET"]);
      await page.locator(".traces a").click();
      await eventually(
        () => page.locator(".row .what").allTextContents(),
        ["HTTP GET", "GET /cart", '{"cart":"c-17"}'],
      );
      await page.locator(".row").filter({ hasText: "GET /cart" }).click();
      const details = page.locator(".details");
      await details.getByText("cart is locked").waitFor();
      const text = (await details.textContent()) ?? "";
      for (const wanted of ["0.25", "false", "3q2+7w==", "values", "IllegalStateException"]) {
        expect(text).toContain(wanted);
      }
      const last = page.locator("table.groups tbody td:last-child");
      for (const [name, wanted] of [
        ["kind.sum", ["5"]],
        ["kind.gauge", ["10"]],
        ["kind.histogram", ["2 times, 1.00 s on average"]],
        ["kind.exponential", ["4 times, 2.50 s on average"]],
        ["kind.summary", ["200.0 ms", "2.00 s"]],
      ] as const) {
        await page.goto(`${store.queryUrl}/metrics-view?name=${name}`);
        await eventually(() => last.allTextContents(), [...wanted]);
        await page.locator(".u-legend").waitFor();
      }
      await page.goto(`${store.queryUrl}/metrics-view?name=kind.exponential&as=heat`);
      // Scale 1: index 1 ends at 2, index 2 at 2.83, which is in the bucket up to 4.
      const four = page.locator(".heat .cell[data-count='2']");
      expect(await four.getAttribute("title")).toStartWith("2 up to 4.00 s");
    },
    TIMEOUT_MS,
  );

  test(
    "a histogram is a heat map as well: what was counted in each bucket between two exports",
    async () => {
      await start();
      await sendMetrics(0, [1, 0, 0]);
      await sendMetrics(10, [91, 9, 0]);
      await sendMetrics(20, [91, 9, 4]);
      // The program began anew: all that it has counted is new.
      await sendMetrics(30, [2, 0, 0]);
      const page = await open("/metrics-view?name=http.server.request.duration");
      await page.getByRole("button", { name: "Heat map" }).click();
      const heat = page.locator(".heat");
      await eventually(
        () => heat.locator(".bound").allTextContents(),
        ["over 100.0 ms", "up to 100.0 ms", "up to 25.0 ms"],
      );
      const counts = await heat
        .locator(".cell")
        .evaluateAll((cells) => cells.map((cell) => cell.getAttribute("data-count")));
      expect(counts.join(" ")).toBe("0 4 0 9 0 0 90 0 2");
      await page.reload();
      await heat.waitFor();
      await page.getByRole("button", { name: "Percentiles" }).click();
      await page.locator(".u-legend").waitFor();
    },
    TIMEOUT_MS,
  );

  test(
    "log records are rows of the waterfall, where they were written, as long as they are wanted",
    async () => {
      await start();
      await send(SHOP);
      await sendLogs([
        { body: "the mail was not sent", severity: 17, span: 30, atMs: 65 },
        { body: "items are there", severity: 9, span: 3, atMs: 50 },
        { body: "of no span", severity: 9 },
      ]);
      const page = await open(`/trace/${traceIdOf(1)}`);
      const names = () => namesOf(page.locator(".row"));
      const spans = ["POST /orders", "POST", "POST /orders", "SELECT items"];
      await eventually(names, [...spans, "items are there", "POST", "the mail was not sent"]);
      const log = page.locator(".log-row").filter({ hasText: "not sent" });
      expect(await log.getAttribute("aria-level")).toBe("5");
      await log.click();
      await eventually(() => page.locator(".details").getAttribute("data-span-id"), spanIdOf(30));
      // The keys go from span to span.
      await page.getByRole("treegrid").focus();
      await page.keyboard.press("ArrowUp");
      await eventually(() => page.locator(".details").getAttribute("data-span-id"), spanIdOf(3));
      await page.keyboard.press("l");
      await eventually(names, [...spans, "POST"]);
      await page.reload();
      await eventually(names, [...spans, "POST"]);
      await page.getByRole("button", { name: "Log rows" }).click();
      await eventually(async () => (await names()).length, 7);
    },
    TIMEOUT_MS,
  );

  test(
    "log records are searched, lead to their span, and stand beside it",
    async () => {
      await start();
      await send(SHOP);
      await sendLogs([
        { body: "order placed", severity: 9, span: 3, attributes: { order: "o-1" } },
        { body: "the mail was not sent", severity: 17, span: 30 },
        { body: "started", severity: 9 },
      ]);
      const page = await open("/logs");
      const bodies = () => page.locator(".log-line .body").allTextContents();
      await eventually(bodies, ["started", "the mail was not sent", "order placed"]);
      await page.getByLabel("At least").selectOption("17");
      await eventually(bodies, ["the mail was not sent"]);
      await page.getByRole("link", { name: "trace", exact: true }).click();
      const details = page.locator(".details");
      await eventually(() => details.getAttribute("data-span-id"), spanIdOf(30));
      await details.getByText("the mail was not sent").waitFor();
      await page.getByRole("link", { name: "Logs" }).last().click();
      await eventually(bodies, ["the mail was not sent", "order placed"]);
      await page.goto(`${store.queryUrl}/logs?text=o-1`);
      await eventually(bodies, ["order placed"]);
    },
    TIMEOUT_MS,
  );
});

describe.if(chromiumPath !== undefined)("the header", () => {
  const SENT = `00-${traceIdOf(1)}-${spanIdOf(2)}-01`;
  const HOP: MadeSpan[] = [
    { id: 1, service: "web", name: "GET /", kind: 2, durationMs: 50 },
    {
      id: 2,
      parent: 1,
      service: "web",
      name: "GET",
      kind: 3,
      durationMs: 40,
      attributes: {
        "orderflow.propagation.traceparent": SENT,
        "orderflow.propagation.baggage": "tier=gold%20plus;ttl=1, odd=%zz,token=REDACTED",
      },
    },
    { id: 3, parent: 2, service: "shop", name: "GET /items", kind: 2, startMs: 5, durationMs: 30 },
    { id: 4, parent: 3, service: "shop", name: "create order.created", kind: 4, startMs: 6 },
    {
      id: 5,
      parent: 4,
      service: "shop",
      name: "INSERT outbox",
      kind: 3,
      startMs: 6,
      attributes: { "db.system.name": "postgresql" },
    },
    { id: 6, parent: 4, service: "worker", name: "process order.created", kind: 5, startMs: 200 },
  ];

  test(
    "that crossed is shown part by part, from either side of the hop",
    async () => {
      await start();
      await send(HOP);
      const page = await open(`/trace/${traceIdOf(1)}?span=${spanIdOf(3)}`);
      const hop = page.locator(".hop");
      await hop.getByText("as it was sent:").waitFor();
      expect(await hop.locator(".header-bytes").allTextContents()).toEqual([
        `traceparent: ${SENT}`,
        "baggage: tier=gold%20plus;ttl=1, odd=%zz,token=REDACTED",
      ]);
      expect(await hop.locator("dd").allTextContents()).toEqual([
        "00",
        "this trace",
        "the span that sent it, GET",
        "sampled: it is kept",
        "gold plus (ttl=1)",
        "%zz",
        "REDACTED",
      ]);
      await hop.getByRole("button", { name: "GET", exact: true }).click();
      await hop.getByText("received by").waitFor();
      expect(await hop.locator(".header-bytes").first().textContent()).toBe(`traceparent: ${SENT}`);
    },
    TIMEOUT_MS,
  );

  test(
    "of a record is followed through the outbox, and is put together where no span says it",
    async () => {
      await start();
      await send(HOP);
      const page = await open(`/trace/${traceIdOf(1)}?span=${spanIdOf(6)}`);
      const hop = page.locator(".hop");
      await hop.getByText("put together from the span's ids").waitFor();
      expect(await hop.locator(".way li").allTextContents()).toEqual([
        "created by create order.created, whose id the record carries",
        "INSERT outbox kept it, with its headers, in the outbox",
        "process order.created began 193.0 ms after it was created",
      ]);
    },
    TIMEOUT_MS,
  );

  test(
    "that was lost makes two traces of one",
    async () => {
      await start();
      await send(HOP);
      const page = await open(`/trace/${traceIdOf(1)}?span=${spanIdOf(3)}`);
      await page.getByRole("button", { name: "What if it had been lost?" }).click();
      await page.getByText("2 traces in place of one").waitFor();
      const row = rowOf(page, 3);
      expect(await row.getAttribute("aria-level")).toBe("1");
      expect(await row.locator(".badge").textContent()).toBe("a trace of its own");
      await page.getByRole("button", { name: "As it was" }).click();
      await eventually(() => row.getAttribute("aria-level"), "3");
    },
    TIMEOUT_MS,
  );

  test(
    "that is not the receiver's parent is told",
    async () => {
      await start();
      const wrong = `00-${traceIdOf(1)}-${spanIdOf(99)}-01`;
      await send(
        HOP.map((span) =>
          span.id === 2
            ? { ...span, attributes: { "orderflow.propagation.traceparent": wrong } }
            : span,
        ),
      );
      const page = await open(`/trace/${traceIdOf(1)}?span=${spanIdOf(3)}`);
      const note = page.locator(".hop [role=note]");
      await note.waitFor();
      expect(await note.textContent()).toContain(`and not ${spanIdOf(99)}, which was sent`);
    },
    TIMEOUT_MS,
  );
});

async function statusOf(span: string): Promise<number> {
  return (await fetch(`${store.queryUrl}/api/view/source/${traceIdOf(1)}/${span}`)).status;
}

describe("the line", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "orderflow-viewer-"));
    const code = Array.from({ length: 40 }, (_, i) => `const line${i + 1} = "text";`).join("\n");
    await Bun.write(join(folder, "project/services/shop.ts"), code);
    await Bun.write(join(folder, "project/.env"), "SECRET=hunter2");
    await Bun.write(join(folder, "project/secret.json"), "hunter2");
    await Bun.write(join(folder, "project/.hidden/a.ts"), "hunter2");
    await Bun.write(join(folder, "project/node_modules/a/a.ts"), "hunter2");
    await Bun.write(join(folder, "outside.ts"), "hunter2");
    await symlink(join(folder, "outside.ts"), join(folder, "project/link.ts"));
    await symlink(folder, join(folder, "project/up"));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  test.if(chromiumPath !== undefined)(
    "that made a span is shown in its file, and opens in an editor",
    async () => {
      await start({ sourceRoot: join(folder, "project") });
      const attributes = { "code.file.path": "services/shop.ts", "code.line.number": 20 };
      await send([{ id: 1, attributes }]);
      const page = await open(`/trace/${traceIdOf(1)}`);
      const lines = page.locator(".source .line");
      await lines.first().waitFor();
      expect(await lines.count()).toBe(15);
      expect(await page.locator(".source .line.it").textContent()).toBe('20const line20 = "text";');
      await page.locator(".source .hljs-string").first().waitFor();
      const link = page.getByRole("link", { name: "Open in" });
      const path = join(folder, "project/services/shop.ts");
      expect(await link.getAttribute("href")).toBe(`vscode://file${path}:20`);
      await page.getByLabel("Editor").selectOption("idea");
      expect(await link.getAttribute("href")).toStartWith("idea://open?file=");
    },
    TIMEOUT_MS,
  );

  test.each([
    "../outside.ts",
    "services/../../outside.ts",
    "link.ts",
    "up/outside.ts",
    ".env",
    "secret.json",
    ".hidden/a.ts",
    "node_modules/a/a.ts",
    "services",
    "services/shop.ts\u0000",
    "..\\outside.ts",
    "/etc/passwd",
    "/proc/self/environ",
    "",
  ])("of the file %j is not read: it is none of the project's own", async (file) => {
    await start({ sourceRoot: join(folder, "project") });
    await send([{ id: 1, attributes: { "code.file.path": file, "code.line.number": 1 } }]);
    const url = `${store.queryUrl}/api/view/source/${traceIdOf(1)}/${spanIdOf(1)}`;
    const response = await fetch(url);
    expect([response.status, (await response.text()).includes("hunter2")]).toEqual([404, false]);
  });

  test("is read for a span that names it, and for nobody else", async () => {
    await start({ sourceRoot: join(folder, "project") });
    const path = join(folder, "project/services/shop.ts");
    await send([
      { id: 1, attributes: { "code.file.path": path, "code.line.number": 2 } },
      { id: 2, attributes: { "code.file.path": path, "code.line.number": 41 } },
      { id: 3, attributes: { "code.file.path": path } },
      { id: 4 },
    ]);
    const spans = [1, 2, 3, 4, 5].map(spanIdOf);
    expect(await Promise.all(spans.map(statusOf))).toEqual([200, 404, 404, 404, 404]);
    expect(await statusOf("../../services/shop.ts")).toBe(404);
  });
});

describe.if(chromiumPath !== undefined)("for everybody", () => {
  test.each(["light", "dark"] as const)(
    "axe finds nothing to complain of: %s",
    async (colorScheme) => {
      await start();
      await send(SHOP);
      await send([{ id: 1, trace: 2, parent: 5, name: "orphan", events: ["retry"] }]);
      await sendOpenSpans(store.otlpUrl, "axe", [{ id: 2, trace: 2, parent: 1, name: "open" }]);
      await sendMetrics(0, [0, 0, 0]);
      await sendMetrics(10, [90, 9, 1]);
      const page = await open("/");
      await page.emulateMedia({ colorScheme });
      for (const path of [
        "/",
        "/?view=operations",
        "/?text=nothing+like+it",
        `/trace/${traceIdOf(1)}?span=${spanIdOf(30)}`,
        `/trace/${traceIdOf(1)}?view=table`,
        `/trace/${traceIdOf(1)}?view=flame`,
        `/trace/${traceIdOf(2)}`,
        `/compare/${traceIdOf(1)}/${traceIdOf(2)}`,
        "/map",
        "/logs",
        "/metrics-view",
        "/metrics-view?name=orders.placed",
        "/metrics-view?name=http.server.request.duration&as=heat",
      ]) {
        await page.goto(store.queryUrl + path);
        await page.getByText("live").first().waitFor();
        await page
          .locator(
            ".traces li, .groups tr, .row, .flame canvas, .note, .compare tr, .u-legend, .heat",
          )
          .first()
          .waitFor();
        expect([path, await complaints(page)]).toEqual([path, []]);
      }
    },
    TIMEOUT_MS,
  );

  test.each([360, 3_840])(
    "nothing sticks out sideways at %i pixels",
    async (width) => {
      await start();
      await send(SHOP);
      const page = await open("/", { width, height: 800 });
      for (const path of [
        "/",
        "/?view=operations",
        `/trace/${traceIdOf(1)}`,
        "/map",
        "/logs",
        "/metrics-view",
      ]) {
        await page.goto(store.queryUrl + path);
        await page.locator(".traces li, .groups tr, .row, .note").first().waitFor();
        const over = await page.evaluate(
          "document.documentElement.scrollWidth - document.documentElement.clientWidth",
        );
        expect([path, over]).toEqual([path, 0]);
      }
    },
    TIMEOUT_MS,
  );
});

async function complaints(page: Page): Promise<string[]> {
  // Through the debugger: the page's policy lets no script in that is not its own.
  await page.evaluate(await Bun.file(AXE).text());
  return await page.evaluate(`axe.run().then(({ violations }) =>
    violations.map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html.slice(0, 160)).join(" | ")))`);
}

async function sendLogs(
  records: readonly {
    body: string;
    severity: number;
    span?: number;
    atMs?: number;
    attributes?: Record<string, string>;
  }[],
): Promise<void> {
  const logRecords = records.map(({ body, severity, span, atMs = 0, attributes = {} }) => ({
    timeUnixNano: `${DAY_MS + atMs}000000`,
    severityNumber: severity,
    body: { stringValue: body },
    attributes: attributesOf(attributes),
    ...(span !== undefined && { traceId: traceIdOf(1), spanId: spanIdOf(span) }),
  }));
  const resource = { attributes: attributesOf({ "service.name": "shop" }) };
  const response = await fetch(`${store.otlpUrl}/v1/logs`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ resourceLogs: [{ resource, scopeLogs: [{ logRecords }] }] }),
  });
  expect(response.status).toBe(200);
}

function jsonFile(name: string, buffer: Buffer) {
  return { name, mimeType: "application/json", buffer };
}

/** Exports a counter, and a histogram of so many in each of its buckets. */
async function sendMetrics(seconds: number, counts: readonly number[]): Promise<void> {
  const all = counts.reduce((sum, count) => sum + count, 0);
  const timeUnixNano = String((1_780_322_400n + BigInt(seconds)) * 1_000_000_000n);
  const exemplars = [{ timeUnixNano, asDouble: 0.07, traceId: traceIdOf(1), spanId: spanIdOf(3) }];
  const histogram = {
    aggregationTemporality: 2,
    dataPoints: [
      {
        timeUnixNano,
        count: String(all),
        sum: all * 0.02,
        explicitBounds: [0.025, 0.1],
        bucketCounts: counts.map(String),
        ...(all > 0 && { exemplars }),
      },
    ],
  };
  const sum = {
    aggregationTemporality: 2,
    isMonotonic: true,
    dataPoints: [{ timeUnixNano, asInt: String(all), attributes: attributesOf({ kind: "web" }) }],
  };
  const metrics = [
    { name: "http.server.request.duration", unit: "s", histogram },
    { name: "orders.placed", unit: "{order}", sum },
  ];
  const resource = { attributes: attributesOf({ "service.name": "shop" }) };
  const response = await fetch(`${store.otlpUrl}/v1/metrics`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ resourceMetrics: [{ resource, scopeMetrics: [{ metrics }] }] }),
  });
  expect(response.status).toBe(200);
}
