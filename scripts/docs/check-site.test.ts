import { afterAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkSite } from "./check-site.ts";

const folder = await mkdtemp(join(tmpdir(), "site-"));
afterAll(async () => await rm(folder, { recursive: true }));

let sites = 0;
async function problemsOf(
  html: string,
  css = "",
  missing?: ReadonlySet<string>,
): Promise<string[]> {
  const site = join(folder, String(++sites));
  await Bun.write(join(site, "index.html"), html);
  await Bun.write(join(site, "docs/index.html"), '<h2 id="a-b">a b</h2><span id="L3"></span>');
  await Bun.write(join(site, "style.css"), css);
  return await checkSite(site, missing);
}

test("a site that has what it links to is right", async () => {
  const html = `<h1 id="x"></h1><a href="#x"></a><a href="docs/#a-b"></a><a href="/docs/#L3-L9"></a>
    <a href="https://example.com/"></a><a href="mailto:nobody@example.com"></a>
    <link rel="stylesheet" href="/style.css"><img src="data:image/png;base64,">`;
  expect(
    await problemsOf(html, "a { background: url(data:,) } b { src: url(/font.woff2) }"),
  ).toEqual([]);
});

test("a link to no page, and one to no heading, are found", async () => {
  expect(await problemsOf('<a href="/none.html"></a><a href="docs/#none"></a>')).toEqual([
    "/ links to /none.html: there is no /none.html",
    "/ links to docs/#none: /docs/ has no #none",
  ]);
});

test("a link to what need not be there is fine", async () => {
  expect(await problemsOf('<a href="/none.html"></a>', "", new Set(["/none.html"]))).toEqual([]);
});

test("what a browser would fetch from elsewhere is found", async () => {
  const html = '<script src="https://cdn.invalid/a.js"></script><link href="//cdn.invalid/b.css">';
  expect(await problemsOf(html, '@import "https://cdn.invalid/c.css";')).toEqual([
    "style.css loads https://cdn.invalid/c.css",
    "/ loads https://cdn.invalid/a.js",
    "/ loads //cdn.invalid/b.css",
  ]);
});

test("code that would move the page aside on a phone is found", async () => {
  expect(await problemsOf('<pre class="shiki"></pre>')).toEqual([]);
  expect(await problemsOf("<pre><code>a</code></pre>")).toEqual([
    "/ has code that does not scroll",
  ]);
});
