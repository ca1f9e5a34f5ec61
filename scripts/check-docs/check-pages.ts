/** Holds the Markdown files of a repository against what is there. */
import { brokenCommands } from "./commands.ts";
import { brokenLink } from "./links.ts";
import { parseMarkdown, type MarkdownPage } from "./markdown-page.ts";
import { brokenPath } from "./paths.ts";
import type { Problem } from "./problem.ts";
import type { Repository } from "./repository.ts";

const SHELL = new Set(["sh", "bash", "shell", "console"]);

/** @returns what is wrong, page by page; links to other sites are not looked at */
export function checkPages(repository: Repository): Problem[] {
  const names = [...repository.files].filter((path) => path.endsWith(".md")).sort();
  const pages = new Map(names.map((path) => [path, parseMarkdown(repository.read(path))]));
  return [...pages].flatMap(([path, page]) => checkPage(path, page, repository, pages));
}

function checkPage(
  path: string,
  page: MarkdownPage,
  repository: Repository,
  pages: ReadonlyMap<string, MarkdownPage>,
): Problem[] {
  const problems: Problem[] = [];
  const report = (line: number, text: string | undefined) => {
    if (text !== undefined) problems.push({ page: path, line, text });
  };
  for (const { url, line } of page.links) {
    report(
      line,
      brokenLink(path, url, repository, (target) => pages.get(target)!),
    );
  }
  for (const { text, line } of page.inlineCode) report(line, brokenPath(path, text, repository));
  const shell = page.fences.filter(({ language = "" }) => SHELL.has(language));
  for (const { text, line } of [...page.inlineCode, ...shell]) {
    for (const broken of brokenCommands(text, repository)) report(line + broken.line, broken.text);
  }
  return problems.sort((one, other) => one.line - other.line);
}
