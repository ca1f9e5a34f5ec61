/** A fence whose first line names a file, as in "ts [tracing.ts]", shows that name. */
import type { MarkdownRenderer } from "vitepress";

export function codeTitles(md: MarkdownRenderer): void {
  const fence = md.renderer.rules.fence!;
  md.renderer.rules.fence = (tokens, index, ...rest) => {
    // Read before it is rendered: the theme takes the name out of the line.
    const title = /\[([^\]]+)\]/.exec(tokens[index]!.info)?.[1];
    const code = fence(tokens, index, ...rest);
    if (title === undefined) return code;
    return `<div class="titled-code"><div class="code-title">${md.utils.escapeHtml(title)}</div>${code}</div>`;
  };
}
