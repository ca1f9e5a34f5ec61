/** Listings: code as a page shows it, cut from the file that is run. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { leavingOut, regionNames, regionOf, withoutRegions } from "../regions.ts";
import { CHAPTER, ROOT } from "../stages.ts";
import { fenced } from "./block.ts";

/**
 * @param what `01/tracing.ts#provider`: a region of a stage's file; without `#…` the whole file. A path from
 * the root begins with `/`, and `@failSpan` is a declaration with its doc comment. `01/tracing.ts#provider
 * without end`: the region without the one inside it that is called so, as where that is the exercise.
 * @returns Markdown
 * @throws Error where there is no such file, region or declaration
 */
export function listing(what: string): string {
  const { path, mark, name, left } = FORM.exec(what)?.groups ?? { path: what };
  const isStage = !path?.startsWith("/");
  const file = isStage ? join(CHAPTER, "stages", path ?? "") : join(ROOT, path ?? "");
  if (!existsSync(file) || !statSync(file).isFile()) throw new Error("there is no such file");
  const whole = readFileSync(file, "utf8");
  const text = left === undefined ? whole : leavingOut(whole, left);
  if (left !== undefined && text === whole) throw new Error(missing("region", left, whole));
  const code = name === undefined ? withoutRegions(text) : cut(text, mark === "#", name);
  const title = isStage ? basename(file) : path?.slice(1);
  const info = `${extname(file).slice(1)} [${title}]`;
  // The formatter would break the lines of what is cut out anew: it would not be the file's any more.
  return `<!-- prettier-ignore -->\n${fenced(info, code.replace(/^\n+|\n+$/g, ""))}`;
}

const FORM = /^(?<path>[^#@ ]+)(?:(?<mark>[#@])(?<name>[^\s#@]+))?(?: without (?<left>[^\s#@]+))?$/;

function cut(text: string, isRegion: boolean, name: string): string {
  const code = isRegion ? regionOf(text, name) : declarationOf(text, name);
  if (code !== undefined) return code;
  throw new Error(missing(isRegion ? "region" : "declaration", name, text));
}

function missing(what: "region" | "declaration", name: string, text: string): string {
  const names = what === "region" ? regionNames(text) : declarationNames(text);
  return `there is no ${what} ${name}; there are: ${names.join(", ") || "none"}`;
}

const DECLARATION =
  /^(?:export )?(?:abstract )?(?:async )?(?:function\*?|class|const|let|interface|type|enum) (?<name>[\w$]+)/;

/** A declaration with its doc comment; in formatted code it ends where the next thing begins at the left edge. */
function declarationOf(text: string, name: string): string | undefined {
  const lines = withoutRegions(text).split("\n");
  const first = lines.findIndex((line) => nameIn(line) === name);
  if (first < 0) return undefined;
  let begin = first;
  if (lines[first - 1]?.endsWith("*/")) {
    begin = lines.findLastIndex((line, index) => index < first && line.startsWith("/**"));
  }
  const next = lines.findIndex((line, index) => index > first && /^[^\s)}\]]/.test(line));
  return lines
    .slice(begin, next < 0 ? lines.length : next)
    .join("\n")
    .trimEnd();
}

function declarationNames(text: string): string[] {
  return text.split("\n").flatMap((line) => nameIn(line) ?? []);
}

function nameIn(line: string): string | undefined {
  return DECLARATION.exec(line)?.groups?.["name"];
}
