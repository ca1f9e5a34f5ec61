/** Functions that an item of a list, or a row, names beside links to sources: they are in one of these. */
import type { Repository } from "../../../scripts/check-docs/repository.ts";
import { targetOf } from "../../../scripts/check-docs/target.ts";

/** Of an item or a row. */
const START = /\n(?=\s*(?:[-*|]|\d+\.) )|\n\n/;
const ITEM = /^\s*(?:[-*|]|\d+\.) /;
const SOURCE_LINK = /\]\(([^)\s]+\.tsx?)(?:#L\d+(?:-L\d+)?)?\)/g;
/** Has a capital within: no word of the language. */
const NAME = /`([a-z]+[A-Z]\w*)(?:\(\))?`/g;

/** @returns names that are in none of the sources that are linked beside them */
export function misplacedNames(
  path: string,
  repository: Repository,
  isForeign: (name: string) => boolean,
): string[] {
  const text = `\n${repository.read(path)}`
    .replaceAll(/^ *```[\s\S]*?^ *```/gm, "")
    .replaceAll(/<!-- generated: [\s\S]*?<!-- end: /g, "");
  return text.split(START).flatMap((block) => {
    const linked = [...block.matchAll(SOURCE_LINK)]
      .flatMap(([, url = ""]) => targetOf(path, url)?.path ?? [])
      .filter((file) => repository.files.has(file));
    if (!ITEM.test(block) || linked.length === 0) return [];
    const sources = linked.map((file) => repository.read(file)).join("\n");
    return [...block.matchAll(NAME)]
      .flatMap(([, name = ""]) => (isForeign(name) || sources.includes(name) ? [] : [name]))
      .map((name) => `${path}: ${name}`);
  });
}
