/** A real browser for tests of pages. */
import { chromium, type Browser, type Page } from "playwright-core";
import { chromiumPath } from "../../scripts/shared/chromium.ts";

export { chromiumPath };

/** A page, and what went wrong in it. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors of scripts, what was refused by the policy, and requests that left the page's own origin. */
  readonly problems: string[];
}

/** @throws Error where there is no Chromium */
export async function startBrowser(): Promise<Browser> {
  if (chromiumPath === undefined) throw new Error("there is no Chromium");
  // A sandbox of Chromium's own is not to be had by root, nor in most containers; what it opens is ours.
  return await chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox"] });
}

/** @param origin whatever is asked of another is a problem */
export async function openPage(
  browser: Browser,
  origin: string,
  viewport = { width: 1400, height: 900 },
): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  const problems: string[] = [];
  page.on("pageerror", ({ message }) => problems.push(message));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !url.startsWith("data:")) problems.push(`asks for ${url}`);
  });
  return { page, problems };
}
