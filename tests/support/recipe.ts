/** A recipe in Markdown, followed to the letter: each block of code under a file's path, which is bold. */
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fromMarkdown } from "mdast-util-from-markdown";

export interface Step {
  /** From the project's folder. */
  readonly path: string;
  /** `diff`: lines to be taken away, put in, and around which; others: the whole file. */
  readonly lang: string;
  readonly text: string;
}

/**
 * @param heading of the section that the recipe stands in, of the second level
 * @throws Error where a block of code that is no command does not say which file it is about
 */
export function stepsOf(markdown: string, heading: string): Step[] {
  const [, section] = markdown.split(`\n## ${heading}\n`);
  const steps: Step[] = [];
  let path: string | undefined;
  for (const node of fromMarkdown(section?.split("\n## ")[0] ?? "").children) {
    if (node.type === "code" && node.lang !== "sh") {
      if (path === undefined) throw new Error(`of which file is this?\n${node.value}`);
      steps.push({ path, lang: node.lang ?? "", text: node.value });
    }
    const [title, more] = node.type === "paragraph" ? node.children : [];
    const [name] = title?.type === "strong" && !more ? title.children : [];
    path = name?.type === "text" ? name.value : undefined;
  }
  return steps;
}

/** @throws Error where what a diff stands on is not there, or more than once */
export async function follow({ path, lang, text }: Step, folder: string): Promise<void> {
  const file = join(folder, path);
  if (lang !== "diff") {
    await mkdir(dirname(file), { recursive: true });
    await Bun.write(file, `${text}\n`);
    return;
  }
  const lines = text.split("\n").map((line) => ({ sign: line[0] ?? " ", text: line.slice(1) }));
  const without = (sign: string) =>
    `\n${lines.flatMap((line) => (line.sign === sign ? [] : [line.text])).join("\n")}\n`;
  const parts = (await Bun.file(file).text()).split(without("+"));
  if (parts.length !== 2) {
    throw new Error(`${path} has ${parts.length - 1} places like this one:${without("+")}`);
  }
  await Bun.write(file, parts.join(without("-")));
}
