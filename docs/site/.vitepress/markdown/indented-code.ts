/** Code that is set off by its indent looks like code in a fence: it scrolls, and can be copied. */
import type { MarkdownRenderer } from "vitepress";

export function indentedCode(md: MarkdownRenderer): void {
  // Looked up when a page is rendered: others may change how a fence looks after this.
  md.renderer.rules.code_block = (...code) => md.renderer.rules.fence!(...code);
}
