/** Holds a built site against itself: links lead somewhere, nothing is loaded from elsewhere, code scrolls. */
import { readdirSync } from "node:fs";
import { join } from "node:path";

interface BuiltPage {
  readonly links: readonly string[];
  readonly loads: readonly string[];
  readonly ids: ReadonlySet<string>;
  /** Has code that the theme knows nothing of: wide lines of it would move the page aside on a phone. */
  readonly hasBareCode: boolean;
}

const ORIGIN = "http://site.invalid";
const STYLE_LOAD = /(?:url\(|@import\s+)["']?([^"')\s]+)/g;

/**
 * @param folder of the built site
 * @param missing addresses that it links to and need not have
 * @returns a line for each thing that is wrong
 */
export async function checkSite(
  folder: string,
  missing: ReadonlySet<string> = new Set(),
): Promise<string[]> {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const pages = new Map<string, BuiltPage>();
  const problems: string[] = [];
  for (const file of files) {
    if (file.endsWith(".html")) pages.set(addressOf(file), await readPage(join(folder, file)));
    if (!file.endsWith(".css")) continue;
    for (const [, url = ""] of (await Bun.file(join(folder, file)).text()).matchAll(STYLE_LOAD)) {
      if (!isOwn(url, `/${file}`)) problems.push(`${file} loads ${url}`);
    }
  }
  const known = new Set(files.map(addressOf));
  for (const [address, page] of pages) {
    if (page.hasBareCode) problems.push(`${address} has code that does not scroll`);
    for (const url of page.loads) {
      if (!isOwn(url, address)) problems.push(`${address} loads ${url}`);
    }
    for (const url of page.links) {
      if (!isOwn(url, address)) continue;
      const { pathname, hash } = new URL(url, ORIGIN + address);
      const path = decodeURIComponent(pathname);
      if (missing.has(path)) continue;
      if (!known.has(path)) problems.push(`${address} links to ${url}: there is no ${path}`);
      else if (!hasId(pages.get(path), decodeURIComponent(hash.slice(1)))) {
        problems.push(`${address} links to ${url}: ${path} has no ${hash}`);
      }
    }
  }
  return problems;
}

async function readPage(file: string): Promise<BuiltPage> {
  const links: string[] = [];
  const loads: string[] = [];
  const ids = new Set<string>();
  let hasBareCode = false;
  const reader = new HTMLRewriter()
    .on("a[href]", collect(links, "href"))
    .on("link[href]", collect(loads, "href"))
    .on("[src]", collect(loads, "src"))
    .on("[id]", {
      element(element) {
        ids.add(element.getAttribute("id") ?? "");
      },
    })
    .on("pre:not([class])", {
      element() {
        hasBareCode = true;
      },
    });
  reader.transform(await Bun.file(file).text());
  return { links, loads, ids, hasBareCode };
}

function collect(
  into: string[],
  attribute: string,
): HTMLRewriterTypes.HTMLRewriterElementContentHandlers {
  return {
    element(element) {
      const url = element.getAttribute(attribute);
      if (url) into.push(url.replaceAll("&amp;", "&"));
    },
  };
}

/** Lines may be a range, which the page's program marks: its first line has to be there. */
function hasId(page: BuiltPage | undefined, id: string): boolean {
  return !page || id === "" || page.ids.has(id) || page.ids.has(id.replace(/^(L\d+)-L\d+$/, "$1"));
}

function isOwn(url: string, address: string): boolean {
  const { protocol, origin } = new URL(url, ORIGIN + address);
  return protocol === "data:" || origin === ORIGIN;
}

function addressOf(file: string): string {
  return `/${file}`.replace(/\/index\.html$/, "/");
}
