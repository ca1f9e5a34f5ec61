/** Code that a page names in a line: whether the project, or what it is made of, has such a thing. */
import type { Repository } from "../../../scripts/check-docs/repository.ts";

/** What a name in code may stand for. */
export interface KnownCode {
  /** Whether a text stands somewhere in the project's files, blanks aside. */
  has(text: string): boolean;
}

const PROSE =
  /\.(?:md|lock|png|jpg|svg|ico|jar|tgz)$|(?:^|\/)(?:bun\.lock|package-lock\.json)$|^node_modules/;
/** Begin a command of a shell; what they call is checked apart. */
const COMMAND =
  /^(?:[A-Z_]+=\S* )*(?:bun|npx|make|curl|kubectl|docker|go|promtool|node|mvn|pg_upgrade|kafka-[a-z]+\.sh)(?: |$)|^-/;
/** Paths are checked apart; a route begins with a slash and is looked for like other code. */
const PATH =
  /^\.{0,2}[\w@.*-]+(?:\/[\w@.*-]+)+\/?(?::\d+)?$|^[\w.*-]+\.(?:ts|mjs|sql|md|ya?ml|toml|sh|jsonl?)$/;
/** Stands for something else: "…", "{id}", "$ITEM", a number of the reader's. */
const PLACEHOLDER = /…|\{[^{}]*\}|\$\w+/;

/** @param isLeftOut whether a file says what the pages say, and so proves nothing */
export function knownCode(repository: Repository, isLeftOut: (path: string) => boolean): KnownCode {
  const texts = [...repository.files]
    .filter((path) => !PROSE.test(path) && !isLeftOut(path))
    .map((path) => repository.read(path).replaceAll(/\s+/g, " "));
  const all = texts.join("\n");
  const answers = new Map<string, boolean>();
  return {
    has(text) {
      const known = answers.get(text) ?? all.includes(text);
      answers.set(text, known);
      return known;
    },
  };
}

/**
 * @param code as it stands between backticks
 * @param isForeign whether a name is known to be somebody else's
 * @returns the parts that nothing in the project has
 */
export function unknownParts(
  code: string,
  known: KnownCode,
  isForeign: (name: string) => boolean,
): string[] {
  const text = code.replaceAll(/\s+/g, " ").trim();
  if (COMMAND.test(text) || PATH.test(text) || isForeign(text) || known.has(text)) return [];
  return partsOf(text).filter((part) => !known.has(part) && !isForeign(part));
}

/** @returns what stands between backticks outside of fences, each with its line */
export function inlineCodeOf(page: string): { readonly text: string; readonly line: number }[] {
  const prose = page
    .replaceAll(/^ *```[\s\S]*?^ *```/gm, blank)
    // Written by a command, and held to its tables by a test.
    .replaceAll(/<!-- generated: [\s\S]*?<!-- end: /g, blank);
  return [...prose.matchAll(/(`+)(?!`)([\s\S]*?[^`])\1(?!`)/g)].map(({ index, 2: text = "" }) => ({
    text: text.replaceAll(/\s+/g, " ").trim(),
    line: prose.slice(0, index).split("\n").length,
  }));
}

/** What is whole in itself: an assignment's sides, a call's name and arguments, what stands around a gap. */
function partsOf(text: string): string[] {
  const [, name, value] = /^([A-Z][A-Z0-9_]+)=(.*)$/.exec(text) ?? [];
  if (name !== undefined) return [name, ...(value ? partsOf(value) : [])];
  const [, called, given] = /^(?:await )?([\w.]+)\((.*)\)$/.exec(text) ?? [];
  if (called !== undefined) return [`${called}(`, ...partsOf(given ?? "")];
  const [, method, address] =
    /^((?:GET|POST|PUT|PATCH|DELETE) )?(\/[^\s?]*)(?:\?\S*)?$/.exec(text) ?? [];
  if (address !== undefined) return [routeOf(address)].filter(() => method !== undefined);
  return text
    .split(PLACEHOLDER)
    .flatMap((piece) => piece.split(/, |,(?=\S)|; | \| | → /))
    .map((piece) => piece.replaceAll(/^["'([\s:=.]+|["')\]\s:=.*]+$/g, ""))
    .filter((piece) => /\w{2}/.test(piece) && !/^[\d.,:]+$/.test(piece));
}

/** `/orders/{id}` as the services write it: `/orders/:id`. */
function routeOf(address: string): string {
  return address.replaceAll(/\{(\w+)\}/g, ":$1");
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, " ");
}
