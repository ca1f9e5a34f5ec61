// The viewer over the real system: an order's trace across five services, as a person finds and reads it.
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { ORDER_SERVICES } from "#lib/service/services.ts";
import { SQL } from "bun";
import { errors, type Browser, type Page } from "playwright-core";
import { line, newOrder, postOrder, waitForStatus } from "../support/api.ts";
import { chromiumPath, openPage, startBrowser, type WatchedPage } from "../support/browser.ts";
import { createItem, stack, startStack, STACK_START_TIMEOUT_MS } from "../support/stack.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 90_000;
const WAIT_MS = 20_000;
setDefaultTimeout(TIMEOUT_MS);

let browser: Browser;
let opened: WatchedPage | undefined;

beforeAll(startStack, STACK_START_TIMEOUT_MS);
beforeAll(async () => {
  if (chromiumPath !== undefined) browser = await startBrowser();
}, TIMEOUT_MS);
afterEach(async () => {
  await opened?.page.context().close();
  expect(opened?.problems ?? []).toEqual([]);
  opened = undefined;
});
afterAll(async () => {
  await browser?.close();
}, TIMEOUT_MS);

async function open(path: string): Promise<Page> {
  const { traces } = await stack();
  opened = await openPage(browser, traces.queryUrl);
  opened.page.setDefaultTimeout(WAIT_MS);
  await opened.page.goto(traces.queryUrl + path);
  return opened.page;
}

describe.if(chromiumPath !== undefined)("an order of the real system", () => {
  test("is found by its id, crosses five services, and each hop shows the header that was sent", async () => {
    const order = await postOrder(newOrder([line(await createItem(5))]));
    await waitForStatus(order.id, "confirmed");
    const page = await open(`/?text=${order.id}`);
    await page.locator(".traces a").filter({ hasText: "gateway" }).first().click();
    const services = page.locator(".facts .service");
    await until(
      "all services are there",
      async () => (await services.count()) >= ORDER_SERVICES.length,
      WAIT_MS,
    );
    const names = await services.allTextContents();
    expect(names.map((name) => name.split(" ")[0])).toEqual(expect.arrayContaining(ORDER_SERVICES));
    await page.getByText("Its root ended after").waitFor();
    await page.locator(".row").filter({ hasText: "process order.created" }).click();
    const hop = page.locator(".hop");
    await hop.getByText("as it was sent:").waitFor();
    expect(await hop.locator(".way li").count()).toBe(4);
    expect(await hop.locator("[role=note]").count()).toBe(0);
    // The line that made it is one of this repository's.
    await page.locator(".source .line.it").waitFor();
    expect(await page.locator(".source b").textContent()).toStartWith("services/worker/");
    // As it would have come out without that header: the worker and all behind it apart.
    await page.getByRole("button", { name: "What if it had been lost?" }).click();
    await page.getByText("2 traces in place of one").waitFor();
  });

  test("that is cancelled is among the failed ones, and the failed call is one key away", async () => {
    const order = await postOrder(newOrder([line("NO-SUCH-ITEM")]));
    await waitForStatus(order.id, "cancelled");
    const page = await open(`/?text=${order.id}&status=error`);
    await page.locator(".traces a").first().click();
    // Its spans come as they end: before the failed one is there, no key leads to it.
    await page.getByText(/✗ \d+ failed/).waitFor();
    await page.keyboard.press("e");
    const details = page.locator(".details");
    await details.locator("p.error").waitFor();
    expect(await details.locator("p.error").textContent()).toBe("✗ there is no item NO-SUCH-ITEM");
    expect(await details.textContent()).toContain("http.response.status_code");
  });

  test("that hangs is seen while it hangs, down to the statement that waits", async () => {
    const { postgresUrl } = await stack();
    const item = await createItem(5);
    const sql = new SQL(postgresUrl);
    const lock = await sql.reserve();
    try {
      await lock`BEGIN`;
      await lock`SELECT FROM inventory.items WHERE item_id = ${item} FOR UPDATE`;
      const order = await postOrder(newOrder([line(item)]));
      const page = await open(`/?text=${order.id}`);
      const found = page.locator(".traces a").filter({ hasText: "still open" });
      await found.first().click();
      const waits = page.locator(".row").filter({ hasText: "still open" });
      await waits.filter({ hasText: "process order.created" }).waitFor();
      const statement = waits.filter({ hasText: "inventory" }).filter({ hasText: "items" });
      // It has a time limit, after which the next one waits: the row may end while it is looked for.
      await until(
        "a statement that waits is opened",
        async () => {
          await statement.first().click({ timeout: 1_000 }).catch(noRowNow);
          return await page.locator(".details").getByText("It has not ended yet.").isVisible();
        },
        WAIT_MS,
      );
      // Its line is known before it ends.
      await page.locator(".source .line.it").waitFor();
      expect(await page.locator(".source b").textContent()).toStartWith("services/inventory/");
      await lock`ROLLBACK`;
      await waitForStatus(order.id, "confirmed");
      // As it ends, it is a span as any other.
      await until("all have ended", async () => (await waits.count()) === 0, WAIT_MS);
      await page.locator(".details").getByText("OTLP").first().waitFor();
    } finally {
      lock.release();
      await sql.close();
    }
  });

  test("of many is one of many: a thousand traces arrive while the page stays what it is", async () => {
    const { traces } = await stack();
    const page = await open("/?service=burst");
    await page.getByText("No trace is like that.").waitFor();
    for (let trace = 0; trace < 1_000; trace++) {
      traces.importText(burstTrace(trace));
      if (trace % 10 === 0) await Bun.sleep(10);
    }
    await page.getByText("1,000 traces found, the newest 100 shown").waitFor();
    expect(await page.locator(".traces li").count()).toBe(100);
    expect(await page.locator(".traces .title").first().textContent()).toBe("burst burst 999");
  });
});

function burstTrace(trace: number): string {
  const id = (0xb000_0000 + trace).toString(16);
  const nowNs = BigInt(Date.now()) * 1_000_000n;
  const span = {
    traceId: id.padStart(32, "1"),
    spanId: id.padStart(16, "1"),
    name: `burst ${trace}`,
    startTimeUnixNano: String(nowNs),
    endTimeUnixNano: String(nowNs + 5_000_000n),
  };
  const attributes = [{ key: "service.name", value: { stringValue: "burst" } }];
  return JSON.stringify({
    resourceSpans: [{ resource: { attributes }, scopeSpans: [{ spans: [span] }] }],
  });
}

function noRowNow(error: unknown): void {
  if (!(error instanceof errors.TimeoutError)) throw error;
}
