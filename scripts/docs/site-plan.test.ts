import { expect, test } from "bun:test";
import { repositoryOf } from "../check-docs/repository.ts";
import { STAGES } from "../tutorial/stages.ts";
import { planSite, urlOf } from "./site-plan.ts";

const FILES: Readonly<Record<string, string>> = {
  "README.md": "# Start\n\n[a](docs/b.md) [b](lib/with-page) [c](lib/without) [d](LICENSE)\n",
  LICENSE: "free\n",
  "docs/b.md": "# B\n\n[a](../lib/one.ts#L1) ![b](b.png)\n",
  "docs/b.png": "",
  "docs/tutorial/README.md": "# The chapter\n",
  "docs/tutorial/01-first-span.md": "# 01\n",
  "docs/site/inner.md": "# Not a page\n",
  "lib/one.ts": "const fence = '```';\n",
  "lib/not-linked.ts": "",
  "lib/with-page/README.md": "# Layer\n",
  "lib/without/a.ts": "a\n",
  "lib/without/deep/b.ts": "b\n",
};
const plan = planSite(repositoryOf(Object.keys(FILES), (path) => FILES[path]!));

test("stages whose pages are there stand in the sidebar, the others are told", () => {
  expect(plan.chapter).toEqual([
    { text: "The chapter", link: "/docs/tutorial/" },
    { text: "01", link: "/docs/tutorial/01-first-span.html" },
  ]);
  expect(plan.missing).toEqual(
    new Set(STAGES.filter(({ id }) => id !== "01").map(({ page }) => `docs/tutorial/${page}`)),
  );
});

test("all other pages are documents, the site's own is none", () => {
  expect(plan.documents).toEqual([
    { text: "Start", link: "/" },
    { text: "B", link: "/docs/b.html" },
    { text: "Layer", link: "/lib/with-page/" },
  ]);
});

test("files that a page links to have pages, and so has what a linked folder holds", () => {
  expect(plan.sources.map(({ path }) => path).sort()).toEqual([
    "LICENSE",
    "lib/one.ts",
    "lib/without/",
    "lib/without/a.ts",
  ]);
});

test("a file with fences of its own is fenced by a longer one", () => {
  const { content } = plan.sources.find(({ path }) => path === "lib/one.ts")!;
  expect(content).toBe("# lib/one.ts\n\n````ts\nconst fence = '```';\n````\n");
});

test("a folder's page leads to the files that have pages", () => {
  const { content } = plan.sources.find(({ path }) => path === "lib/without/")!;
  expect(content).toBe("# lib/without/\n\n- [`a.ts`](/lib/without/a.ts.html)\n- `deep/`\n");
});

test.each([
  ["a page", "../README.md", "/"],
  ["a page's heading", "tutorial/README.md#x", "/docs/tutorial/#x"],
  ["a file's line", "../lib/one.ts#L1", "/lib/one.ts.html#L1"],
  ["a folder with a page", "../lib/with-page", "/lib/with-page/"],
  ["a folder without", "../lib/without/", "/lib/without/"],
  ["a page that is not written", "tutorial/end.md", "/docs/tutorial/end.html"],
  ["a picture", "b.png", undefined],
  ["the page's own heading", "#x", undefined],
  ["another site", "https://example.com/", undefined],
])("a link to %s is led there", (_, url, link) => {
  expect(plan.linkOf("docs/b.md", url)).toBe(link);
});

test("an address says which page or file it shows", () => {
  expect(["docs/a.md", "a/README.md", "lib/x.ts", "lib/"].map(urlOf)).toEqual([
    "/docs/a.html",
    "/a/",
    "/lib/x.ts.html",
    "/lib/",
  ]);
});
