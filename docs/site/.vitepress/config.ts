/** The site: pages are the repository's Markdown files where they stand, each under its own path. */
import { fileURLToPath } from "node:url";
import { slug } from "github-slugger";
import { defineConfig } from "vitepress";
import { codeTitles } from "./markdown/code-titles.ts";
import { indentedCode } from "./markdown/indented-code.ts";
import { lineAnchors } from "./markdown/line-anchors.ts";
import { siteVue } from "./site-vue.ts";
import { repositoryLinks } from "./markdown/repository-links.ts";
import type { SitePlan } from "../../../scripts/docs/site-plan.ts";

const ROOT = new URL("../../../", import.meta.url);
// By its address, so that it is Bun that loads it: bundled with this file, as an import would be, it
// would look for the repository in the wrong place.
const { planSite } = await import(new URL("scripts/docs/site-plan.ts", ROOT).href);
const plan: SitePlan = planSite();
const SOURCES = "docs/site/source/";

export default defineConfig({
  title: "OrderFlow",
  description: "Tracing by hand on Bun, and the system it is shown on.",
  // None: browsers would ask for one all the same.
  head: [["link", { rel: "icon", href: "data:," }]],
  srcDir: fileURLToPath(ROOT),
  // Any server of files can serve it: no rules for addresses are needed.
  cleanUrls: false,
  rewrites: (page) =>
    page.startsWith(SOURCES)
      ? page.slice(SOURCES.length)
      : page.replace(/(^|\/)README\.md$/, "$1index.md"),
  // Stages whose pages are not there yet are named all the same. Anything else that is dead ends the build.
  ignoreDeadLinks: [
    ...[...plan.missing].map((page) => `/${page.replace(/\.md$/, "")}`),
    // What a reader's own demo or stack answers.
    /^https?:\/\/localhost\b/,
  ],
  markdown: {
    // A heading's address is the one that it has on GitHub.
    anchor: { slugify: slug },
    languageAlias: { mjs: "js" },
    // Braces at the end of a line are words here, not attributes.
    attrs: { disable: true },
    config(md) {
      md.use(repositoryLinks, plan);
      md.use(codeTitles);
      md.use(lineAnchors, SOURCES);
      md.use(indentedCode);
    },
  },
  vite: { plugins: [siteVue()] },
  themeConfig: {
    nav: [
      { text: "Chapter", link: "/docs/tutorial/", activeMatch: "^/docs/tutorial/" },
      { text: "Architecture", link: "/docs/architecture.html" },
      { text: "Telemetry", link: "/docs/telemetry.html" },
    ],
    sidebar: [
      { text: "The chapter", items: [...plan.chapter] },
      { text: "Documents", items: [...plan.documents] },
    ],
    outline: [2, 3],
    search: { provider: "local" },
  },
});
