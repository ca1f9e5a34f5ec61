/** Parts of a file that are generated, between marks in its comments: `generated: NAME` and `end: NAME`. */

/** What stands between the marks of each name, wherever they are; a blank line more around it in Markdown. */
export type Sections = Readonly<Record<string, () => string | Promise<string>>>;

/**
 * @param text of a file, with the marks
 * @returns the same, with what belongs between them now
 * @throws Error that names the section whose marks are missing
 */
export async function withSections(text: string, sections: Sections): Promise<string> {
  let result = text;
  for (const [name, render] of Object.entries(sections)) {
    const mark = (word: string) => `^ *(?:#|<!--) ${word}: ${name}(?: -->)?$`;
    const places = new RegExp(`(${mark("generated")})\\n[^]*?(${mark("end")})`, "gm");
    if (!places.test(result)) {
      throw new Error(`the marks \`generated: ${name}\` and \`end: ${name}\` are missing`);
    }
    const rendered = await render();
    result = result.replaceAll(places, (_, begin: string, end: string) => {
      const around = begin.includes("<!--") ? "\n\n" : "\n";
      return [begin, rendered, end].join(around);
    });
  }
  return result;
}
