/** On a page that shows a file, each line has an address: "#L10". */
import type { MarkdownRenderer } from "vitepress";

const LINE = /<span class="line/g;

/** @param folder where the pages that show files come from */
export function lineAnchors(md: MarkdownRenderer, folder: string): void {
  const fence = md.renderer.rules.fence!;
  md.renderer.rules.fence = (tokens, index, options, env, self) => {
    const code = fence(tokens, index, options, env, self);
    const source: string = env.realPath ?? env.path ?? "";
    if (!source.includes(`/${folder}`)) return code;
    let line = 0;
    return code.replace(LINE, (span) => `<span id="L${++line}" ${span.slice("<span ".length)}`);
  };
}
