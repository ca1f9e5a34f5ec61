/** Links between files of the repository lead to their pages; pictures are found beside the page. */
import type { MarkdownRenderer } from "vitepress";
import type { SitePlan } from "../../../../scripts/docs/site-plan.ts";

const HTML_LINK = /(<a\b[^>]*?\shref=")([^"]*)(")/g;
const HTML_SOURCE = /(<img\b[^>]*?\ssrc=")(?![a-z]+:|\/|\.)([^"]*")/g;

/** @param plan knows which page shows what */
export function repositoryLinks(md: MarkdownRenderer, plan: SitePlan): void {
  md.core.ruler.push("repository-links", ({ tokens, env }) => {
    const page: string = env.relativePath ?? "";
    // Links that a source's page has are the site's own.
    if (page.startsWith("docs/site/")) return;
    const linkOf = (url: string) => plan.linkOf(fileOf(page), url) ?? url;
    for (const token of tokens.flatMap((token) => [token, ...(token.children ?? [])])) {
      if (token.type === "link_open") {
        token.attrSet("href", linkOf(token.attrGet("href") ?? ""));
      } else if (token.type === "html_block" || token.type === "html_inline") {
        token.content = token.content
          .replace(HTML_LINK, (_, before, url, after) => before + linkOf(url) + after)
          // "images/01.png" would be taken for a package's file.
          .replace(HTML_SOURCE, "$1./$2");
      }
    }
  });
}

/** @returns the path in the repository: for the build a page's is the rewritten one */
function fileOf(page: string): string {
  return page.replace(/(^|\/)index\.md$/, "$1README.md");
}
