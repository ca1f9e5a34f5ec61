/**
 * Regions of a stage's files: `// #region name` … `// #endregion name`, in SQL `-- #region name`.
 *
 * A page cuts its listings by them. The reader's own folder has the files without them.
 */

const MARK = /^\s*(?:\/\/|--) #(?<which>region|endregion) (?<name>\S+)\s*$/;

/** @returns the text without the lines that begin or end a region */
export function withoutRegions(text: string): string {
  return text
    .split("\n")
    .filter((line) => !MARK.test(line))
    .join("\n");
}

/**
 * Cuts a region out: without its marks, without those inside it, and without the indentation that all of
 * its lines have.
 * @returns undefined where the text has no such region
 * @throws Error where the region is there twice, or does not end
 */
export function regionOf(text: string, name: string): string | undefined {
  const lines = text.split("\n");
  const bounds = boundsOf(lines, name);
  if (!bounds) return undefined;
  return dedented(withoutRegions(lines.slice(bounds.begin + 1, bounds.end).join("\n")));
}

/**
 * @returns the text without a region and its marks; as it is where it has no such region
 * @throws Error where the region is there twice, or does not end
 */
export function leavingOut(text: string, name: string): string {
  const lines = text.split("\n");
  const bounds = boundsOf(lines, name);
  return bounds ? lines.toSpliced(bounds.begin, bounds.end - bounds.begin + 1).join("\n") : text;
}

/** @returns the names of the regions, in the order in which they begin */
export function regionNames(text: string): string[] {
  return text
    .split("\n")
    .map((line) => MARK.exec(line)?.groups)
    .filter((mark) => mark?.["which"] === "region")
    .map((mark) => mark?.["name"] ?? "");
}

/** Where its marks stand. */
function boundsOf(
  lines: readonly string[],
  name: string,
): { readonly begin: number; readonly end: number } | undefined {
  const begins = marksOf(lines, "region", name);
  const [begin] = begins;
  if (begin === undefined) return undefined;
  if (begins.length > 1) throw new Error(`region ${name} is there ${begins.length} times`);
  const end = marksOf(lines, "endregion", name).find((index) => index > begin);
  if (end === undefined) throw new Error(`region ${name} does not end`);
  return { begin, end };
}

function marksOf(lines: readonly string[], which: string, name: string): number[] {
  return lines.flatMap((line, index) => {
    const mark = MARK.exec(line)?.groups;
    return mark?.["which"] === which && mark["name"] === name ? [index] : [];
  });
}

function dedented(text: string): string {
  const lines = text.split("\n");
  const indents = lines.filter((line) => line.trim()).map((line) => line.search(/\S/));
  const indent = Math.min(...indents);
  return lines.map((line) => line.slice(indent)).join("\n");
}
