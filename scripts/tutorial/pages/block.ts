/**
 * Blocks of a page that are generated: what stands between `<!-- listing: … -->`, `<!-- diff: … -->` or
 * `<!-- recorded: … -->` and the next `<!-- end -->`.
 */

const KINDS = ["listing", "diff", "recorded"] as const;
const BEGIN = new RegExp(
  `^(?<indent> *)<!-- (?<kind>${KINDS.join("|")}): (?<what>\\S(?:.*\\S)?) -->$`,
);
const END = /^ *<!-- end -->$/;

/** One of them. */
export interface Block {
  readonly kind: (typeof KINDS)[number];
  /** What stands behind the kind: `01/tracing.ts#provider`. */
  readonly what: string;
  /** Of its first mark; 1 is the page's first line. */
  readonly line: number;
  /** In a list the block is as far in as its item. */
  readonly indent: string;
  /** What stands between the marks now, without indentation and blank lines around it. */
  readonly content: string;
}

/** Something is wrong with a page. The message begins with the place: `01-first-span.md:12:`. */
export class PageError extends Error {
  override readonly name = "PageError";

  constructor(page: string, line: number, text: string, options?: ErrorOptions) {
    super(`${page}:${line}: ${text}`, options);
  }
}

/**
 * @param page its file's name, for errors
 * @throws PageError where a mark has no other one that belongs to it
 */
export function blocksOf(text: string, page: string): Block[] {
  return partsOf(text, page).filter((part) => typeof part !== "string");
}

/**
 * Fills the blocks anew.
 * @param contentOf what is to stand between a block's marks: Markdown, without indentation
 * @throws PageError that names the block for which `contentOf` throws
 */
export async function withContents(
  text: string,
  page: string,
  contentOf: (block: Block) => string | Promise<string>,
): Promise<string> {
  const lines: string[] = [];
  for (const part of partsOf(text, page)) {
    if (typeof part === "string") lines.push(part);
    else lines.push(...linesOf(part, await contentIn(page, part, contentOf)));
  }
  return lines.join("\n");
}

/**
 * @param info behind the fence's first mark: a language, and what else is said of the code
 * @returns the code as a fenced block, in a fence that nothing in the code ends
 */
export function fenced(info: string, code: string): string {
  const ticks = [...code.matchAll(/^ *(`{3,})/gm)].map(([, run = ""]) => run.length);
  const fence = "`".repeat(Math.max(2, ...ticks) + 1);
  return `${fence}${info}\n${code}\n${fence}`;
}

/** @returns the code in the only fence of a content; undefined where there is none */
export function codeIn(content: string): string | undefined {
  return /^(?<fence>`{3,}).*\n(?<code>[^]*)\n\k<fence>$/.exec(content)?.groups?.["code"];
}

/** @returns lines as they are, and blocks in the place of theirs */
function partsOf(text: string, page: string): (string | Block)[] {
  const parts: (string | Block)[] = [];
  let open: Omit<Block, "content"> | undefined;
  let inside: string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const mark = BEGIN.exec(line)?.groups;
    if (open && (mark || END.test(line))) {
      if (mark) throw new PageError(page, open.line, `${open.kind}: ${open.what} does not end`);
      parts.push({ ...open, content: without(open.indent, inside) });
      open = undefined;
    } else if (open) {
      inside.push(line);
    } else if (mark) {
      const { kind, what = "", indent = "" } = mark;
      open = { kind: kind as Block["kind"], what, line: index + 1, indent };
      inside = [];
    } else if (END.test(line)) {
      throw new PageError(page, index + 1, "an end without a beginning");
    } else {
      parts.push(line);
    }
  }
  if (open) throw new PageError(page, open.line, `${open.kind}: ${open.what} does not end`);
  return parts;
}

function without(indent: string, lines: readonly string[]): string {
  return lines
    .map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line.trimStart()))
    .join("\n")
    .replace(/^\n+|\n+$/g, "");
}

function linesOf({ indent, kind, what }: Block, content: string): string[] {
  const body = content === "" ? [] : [...content.split("\n"), ""];
  return [`<!-- ${kind}: ${what} -->`, "", ...body, "<!-- end -->"].map((line) =>
    line === "" ? "" : indent + line,
  );
}

async function contentIn(
  page: string,
  block: Block,
  contentOf: (block: Block) => string | Promise<string>,
): Promise<string> {
  try {
    return await contentOf(block);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new PageError(page, block.line, `${block.kind}: ${block.what}: ${text}`, {
      cause: error,
    });
  }
}
