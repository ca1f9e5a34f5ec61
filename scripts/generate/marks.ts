/** Parts of a file that are generated, between marks in its comments: `generated: NAME` and `end: NAME`. */

/** What stands between the marks of each name; a blank line more around it in Markdown. */
export type Sections = Readonly<Record<string, () => string | Promise<string>>>;

/**
 * @param text of a file, with the marks
 * @returns the same, with what belongs between them now
 * @throws Error that names the section whose marks are missing
 */
export async function withSections(text: string, sections: Sections): Promise<string> {
  let result = text;
  for (const [name, render] of Object.entries(sections)) {
    const begin = new RegExp(`^ *(?:#|<!--) generated: ${name}(?: -->)?\\n`, "m").exec(result);
    const end = new RegExp(`^ *(?:#|<!--) end: ${name}(?: -->)?$`, "m").exec(result);
    if (!begin || !end || end.index < begin.index) {
      throw new Error(`the marks \`generated: ${name}\` and \`end: ${name}\` are missing`);
    }
    const around = begin[0].includes("<!--") ? "\n" : "";
    const before = result.slice(0, begin.index + begin[0].length);
    result = `${before}${around}${await render()}\n${around}${result.slice(end.index)}`;
  }
  return result;
}
