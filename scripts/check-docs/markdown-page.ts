/** What a Markdown page says that can be held against the repository: links, headings, code. */
import GithubSlugger from "github-slugger";
import { fromMarkdown } from "mdast-util-from-markdown";
import { gfmFromMarkdown } from "mdast-util-gfm";
import { gfm } from "micromark-extension-gfm";
import { visit } from "unist-util-visit";
import type { Heading, Nodes } from "mdast";

export interface PageLink {
  /** As it is written. */
  readonly url: string;
  /** 1-based, as all lines here. */
  readonly line: number;
}

export interface PageCode {
  readonly text: string;
  /** First word of a fence's info string; undefined where there is none, and for code in a line. */
  readonly language: string | undefined;
  /** Of the first line of the text. */
  readonly line: number;
}

export interface MarkdownPage {
  /** Links and images, Markdown's and HTML's. */
  readonly links: readonly PageLink[];
  /** What can stand behind "#": headings as GitHub makes them, and ids in HTML. */
  readonly anchors: ReadonlySet<string>;
  /** The first heading, without marks; undefined where there is none. */
  readonly title: string | undefined;
  readonly inlineCode: readonly PageCode[];
  readonly fences: readonly PageCode[];
}

const HTML_LINK = /<(?:a|img|source)\b[^>]*?\s(?:href|src|srcset)\s*=\s*["']([^"']*)["']/gi;
const HTML_ID = /<\w+\b[^>]*?\s(?:id|name)\s*=\s*["']([^"']+)["']/gi;

/** @param text of a page, as GitHub would read it */
export function parseMarkdown(text: string): MarkdownPage {
  const links: PageLink[] = [];
  const anchors = new Set<string>();
  const inlineCode: PageCode[] = [];
  const fences: PageCode[] = [];
  const slugger = new GithubSlugger();
  let title: string | undefined;

  visit(
    fromMarkdown(text, { extensions: [gfm()], mdastExtensions: [gfmFromMarkdown()] }),
    (node) => {
      const line = node.position?.start.line ?? 1;
      if (node.type === "link" || node.type === "image" || node.type === "definition") {
        links.push({ url: node.url, line });
      } else if (node.type === "heading") {
        const words = textOf(node);
        title ??= words;
        anchors.add(slugger.slug(words));
      } else if (node.type === "inlineCode") {
        inlineCode.push({ text: node.value, language: undefined, line });
      } else if (node.type === "code") {
        // A fence's text begins below the fence.
        fences.push({ text: node.value, language: node.lang ?? undefined, line: line + 1 });
      } else if (node.type === "html") {
        for (const [, url = ""] of node.value.matchAll(HTML_LINK)) links.push({ url, line });
        for (const [, id = ""] of node.value.matchAll(HTML_ID)) anchors.add(id);
      }
    },
  );
  return { links, anchors, title, inlineCode, fences };
}

function textOf(heading: Heading): string {
  const words: string[] = [];
  visit(heading as Nodes, (node) => {
    if (node.type === "text" || node.type === "inlineCode") words.push(node.value);
  });
  return words.join("");
}
