/** Source in colours. Loaded when the first source is shown. */
import hljs from "highlight.js/lib/core";
import typescript from "highlight.js/lib/languages/typescript";
import type { Piece } from "./source-lines.tsx";

hljs.registerLanguage("typescript", typescript);

/**
 * @param code several lines
 * @returns the pieces of each line. The library makes markup; it is read back as text and classes, so that
 *   nothing of a file ever becomes an element of the page
 */
export function highlight(code: string): Piece[][] {
  const { value } = hljs.highlight(code, { language: "typescript", ignoreIllegals: true });
  const parsed = new DOMParser().parseFromString(`<pre>${value}</pre>`, "text/html");
  const lines: Piece[][] = [[]];
  const walk = (node: Node, kind: string) => {
    if (node instanceof Text || node.nodeType === Node.TEXT_NODE) {
      node.textContent?.split("\n").forEach((text, index) => {
        if (index > 0) lines.push([]);
        if (text) lines.at(-1)?.push({ text, kind });
      });
      return;
    }
    const own = node.nodeType === Node.ELEMENT_NODE ? (node as Element).className : "";
    for (const child of node.childNodes) walk(child, own || kind);
  };
  walk(parsed.body, "");
  return lines;
}
