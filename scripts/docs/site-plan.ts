/** What the site shows: the repository's pages, and the files that they link to. */
import { posix } from "node:path";
import { parseMarkdown, type MarkdownPage } from "../check-docs/markdown-page.ts";
import { openRepository, type Repository } from "../check-docs/repository.ts";
import { targetOf } from "../check-docs/target.ts";
import { ROOT, STAGES } from "../tutorial/stages.ts";

/** An entry of the sidebar. */
export interface SidebarItem {
  readonly text: string;
  readonly link: string;
}

/** A page that shows a file or a folder of the repository. */
export interface SourcePage {
  /** From the root; a folder's ends in "/". */
  readonly path: string;
  /** Its Markdown. */
  readonly content: string;
}

export interface SitePlan {
  readonly chapter: readonly SidebarItem[];
  readonly documents: readonly SidebarItem[];
  readonly sources: readonly SourcePage[];
  /** Pages of stages that are not written. */
  readonly missing: ReadonlySet<string>;
  /**
   * @param page path of the page from the root
   * @param url a link as it stands there
   * @returns where the site has that; undefined for what it has not, and for the page's own anchors
   */
  linkOf(page: string, url: string): string | undefined;
}

const CHAPTER = "docs/tutorial/README.md";
/** Those that a reader would open first; the others follow in the order of their names. */
const FIRST_DOCUMENTS = ["README.md", "docs/architecture.md", "docs/telemetry.md"];
/** Of fences, by how a file's name ends. */
const LANGUAGES: Readonly<Record<string, string>> = {
  ts: "ts",
  js: "js",
  mjs: "js",
  json: "json",
  sql: "sql",
  yaml: "yaml",
  yml: "yaml",
  toml: "toml",
  html: "html",
  css: "css",
  xml: "xml",
};
const BINARY = /\.(?:png|jpe?g|gif|webp|svg|ico|woff2?|pdf|gz)$/i;

/** Reads the repository as it is now. */
export function planSite(repository: Repository = openRepository(ROOT)): SitePlan {
  const names = [...repository.files].filter((path) => isPage(path)).sort();
  const pages = new Map(names.map((page) => [page, parseMarkdown(repository.read(page))]));
  const linked = linkedSources(repository, pages);
  const stagePages = STAGES.map((stage) => `docs/tutorial/${stage.page}`);
  const entry = (page: string): SidebarItem => ({
    text: pages.get(page)?.title ?? page,
    link: urlOf(page),
  });
  const chapterPages = [CHAPTER, ...stagePages];
  const documents = [
    ...FIRST_DOCUMENTS,
    ...names.filter((page) => !FIRST_DOCUMENTS.includes(page)),
  ];
  return {
    chapter: chapterPages.filter((page) => repository.files.has(page)).map(entry),
    documents: documents
      .filter((page) => repository.files.has(page) && !chapterPages.includes(page))
      .map(entry),
    sources: [...linked].map((path) => sourcePage(repository, linked, path)),
    missing: new Set(stagePages.filter((page) => !repository.files.has(page))),
    linkOf(page, url) {
      const target = url.startsWith("#") ? undefined : targetOf(page, url);
      if (!target) return undefined;
      // A page that is not there keeps its address: the build says then that the link is dead.
      const path = isPage(target.path) ? target.path : sourceOf(repository, target.path);
      return path === undefined ? undefined : urlOf(path) + (target.anchor && `#${target.anchor}`);
    },
  };
}

/** @returns the address of a page, of a file's page or of a folder's page ("…/") */
export function urlOf(path: string): string {
  const url = path.replace(/(^|\/)README\.md$/, "$1").replace(/\.md$/, ".html");
  if (url === "" || url.endsWith("/") || url.endsWith(".html")) return `/${url}`;
  return `/${url}.html`;
}

/** The site itself is no page, nor is what a tool keeps for itself. */
function isPage(path: string): boolean {
  return path.endsWith(".md") && !path.startsWith(".") && !path.startsWith("docs/site/");
}

/** @returns the file's path, or the folder's with "/" or that of its page */
function sourceOf(repository: Repository, path: string): string | undefined {
  if (repository.files.has(path)) return BINARY.test(path) ? undefined : path;
  if (!repository.folders.has(path)) return undefined;
  const folder = path === "" ? "" : `${path}/`;
  return repository.files.has(`${folder}README.md`) ? `${folder}README.md` : folder;
}

function linkedSources(
  repository: Repository,
  pages: ReadonlyMap<string, MarkdownPage>,
): Set<string> {
  const found = new Set<string>();
  for (const [page, { links }] of pages) {
    for (const { url } of links) {
      const path = targetOf(page, url)?.path;
      const source = path === undefined ? undefined : sourceOf(repository, path);
      if (source !== undefined && !isPage(source)) found.add(source);
    }
  }
  // A folder's page leads on to what is in it.
  for (const folder of [...found].filter((path) => path.endsWith("/"))) {
    for (const path of inFolder(repository, folder)) {
      if (!path.endsWith("/") && !isPage(path) && !BINARY.test(path)) found.add(path);
    }
  }
  return found;
}

function sourcePage(repository: Repository, linked: ReadonlySet<string>, path: string): SourcePage {
  if (path.endsWith("/")) {
    const lines = inFolder(repository, path).map((inside) => {
      const name = inside.slice(path.length);
      const hasPage = linked.has(inside) || (isPage(inside) && repository.files.has(inside));
      return hasPage ? `- [\`${name}\`](${urlOf(inside)})` : `- \`${name}\``;
    });
    return { path, content: `# ${path}\n\n${lines.join("\n")}\n` };
  }
  const text = repository.read(path).replace(/\n$/, "");
  const fence = "`".repeat(
    Math.max(3, ...[...text.matchAll(/`+/g)].map(([run]) => run.length + 1)),
  );
  const language = LANGUAGES[posix.extname(path).slice(1)] ?? languageOfName(posix.basename(path));
  return { path, content: `# ${path}\n\n${fence}${language}\n${text}\n${fence}\n` };
}

function languageOfName(name: string): string {
  if (name.startsWith("Dockerfile")) return "docker";
  return name === "Makefile" ? "make" : name === "run" ? "sh" : "text";
}

function inFolder(repository: Repository, folder: string): string[] {
  const inside = new Set<string>();
  for (const path of repository.files) {
    if (!path.startsWith(folder)) continue;
    const slashAt = path.indexOf("/", folder.length);
    inside.add(slashAt < 0 ? path : path.slice(0, slashAt + 1));
  }
  return [...inside].sort();
}
