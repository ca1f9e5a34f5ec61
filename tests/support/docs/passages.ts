/** What a page says in one breath: a sentence, or a row of a table, with its links and figures. */
import { fromMarkdown } from "mdast-util-from-markdown";
import { gfmFromMarkdown } from "mdast-util-gfm";
import { gfm } from "micromark-extension-gfm";
import { visit } from "unist-util-visit";
import type { Nodes } from "mdast";

export interface Passage {
  /** Without marks, links' addresses and code. */
  readonly text: string;
  /** Addresses, as they are written. */
  readonly links: readonly string[];
  /** Code in the line. */
  readonly code: readonly string[];
  /** What stands in bold. */
  readonly bold: readonly string[];
  /** Of the paragraph or row, 1-based. */
  readonly line: number;
}

/** Where a sentence ends: "e.g. 5" does not. */
const END_OF_SENTENCE = /(?<=[.!?][)"”]?)\s+(?=["“(]?[\p{Lu}\uE000])/u;
/** Stands for a node in the text, with its number, between characters that no page has. */
const NODE = /\uE000(\d+)\uE001/g;

/** @param text of a page */
export function passagesOf(text: string): Passage[] {
  const passages: Passage[] = [];
  const tree = fromMarkdown(text, { extensions: [gfm()], mdastExtensions: [gfmFromMarkdown()] });
  visit(tree, (node) => {
    if (node.type !== "paragraph" && node.type !== "tableRow") return;
    const nodes: Nodes[] = [];
    const written = write(node, nodes);
    const parts = node.type === "tableRow" ? [written] : written.split(END_OF_SENTENCE);
    for (const part of parts) {
      const own = [...part.matchAll(NODE)].flatMap(([, index]) => nodes[Number(index)] ?? []);
      passages.push({
        text: part.replaceAll(NODE, "").replaceAll(/\s+/g, " "),
        links: own.flatMap((one) => (one.type === "link" ? [one.url] : [])),
        code: own.flatMap((one) => (one.type === "inlineCode" ? [one.value] : [])),
        bold: own.flatMap((one) => (one.type === "strong" ? [writeAll(one.children, [])] : [])),
        line: node.position?.start.line ?? 1,
      });
    }
  });
  return passages;
}

function write(node: Nodes, nodes: Nodes[]): string {
  const mark = () => `\uE000${nodes.push(node) - 1}\uE001`;
  if (node.type === "text") return node.value;
  if (node.type === "inlineCode") return mark();
  if (!("children" in node)) return "";
  if (node.type === "tableRow") return writeAll(node.children, nodes, " | ");
  const isMarked = node.type === "link" || node.type === "strong";
  return (isMarked ? mark() : "") + writeAll(node.children, nodes);
}

function writeAll(all: readonly Nodes[], nodes: Nodes[], between = ""): string {
  return all.map((node) => write(node, nodes)).join(between);
}
