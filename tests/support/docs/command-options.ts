/** Options of the project's commands, as pages write them. */
import type { Repository } from "../../../scripts/check-docs/repository.ts";
import { inlineCodeOf } from "./named-code.ts";

const SHELL_FENCE = /^ *```(?:sh|bash)\n([\s\S]*?)^ *```/gm;
const INDENTED = /^ {4}\S.*$/gm;
/** `bun run demo …`, `bun scripts/demo.ts …`, with what stands before it. */
const COMMAND = /\bbun(?:@[\d.]+)? (?:run )?([\w/:.-]+)(.*)$/;
const OPTION = /(?<=^|\s)--([a-z][\w-]*)/g;

/**
 * @returns each option that its command's sources do not have: `bun run demo --none`; and each that stands
 *   alone in a line and that no command has
 */
export function brokenOptions(page: string, repository: Repository): string[] {
  const inline = inlineCodeOf(page).map(({ text }) => text);
  const fences = [...page.matchAll(SHELL_FENCE)].flatMap(([, text = ""]) => linesOf(text));
  const indented = page.replaceAll(SHELL_FENCE, "").match(INDENTED) ?? [];
  const all = sourcesOf("scripts/", repository);
  const commands = [...inline, ...fences, ...indented].flatMap((line) => {
    const unquoted = line.replaceAll(/"[^"]*"|'[^']*'/g, "''");
    return unquoted
      .replace(/(^|\s)#.*$/, "")
      .split(/&&|;| \| /)
      .flatMap((part) => {
        const [, name = "", rest = ""] = COMMAND.exec(part.trim()) ?? [];
        const file = fileOf(name, repository);
        if (file === undefined) return [];
        const sources = sourcesOf(file, repository);
        return optionsOf(rest)
          .filter((option) => !isKnown(option, sources))
          .map((option) => `bun ${repository.scripts.has(name) ? "run " : ""}${name} --${option}`);
      });
  });
  const alone = inline
    .filter((text) => text.startsWith("--"))
    .flatMap(optionsOf)
    .filter((option) => !isKnown(option, all) && !OF_OTHERS.has(option))
    .map((option) => `--${option}`);
  return [...commands, ...alone];
}

/** Written alone, of kubectl and of Bun. */
const OF_OTHERS = new Set(["from-file", "hot", "watch", "preload"]);

/** A line that ends in "\" goes on. */
function linesOf(text: string): string[] {
  return text.replaceAll(/\\\n/g, " ").split("\n");
}

function optionsOf(text: string): string[] {
  return [...text.matchAll(OPTION)].map(([, name = ""]) => name);
}

function fileOf(name: string, repository: Repository): string | undefined {
  if (name.endsWith(".ts")) return repository.files.has(name) ? name : undefined;
  if (!repository.scripts.has(name)) return undefined;
  const { scripts } = JSON.parse(repository.read("package.json")) as {
    scripts: Record<string, string>;
  };
  return /bun (scripts\/\S+\.ts)/.exec(scripts[name] ?? "")?.[1];
}

/** A script, and the folder of its parts: scripts/demo.ts and scripts/demo/. */
function sourcesOf(file: string, repository: Repository): string {
  const folder = file.replace(/(?:\/index)?\.ts$/, "/");
  return [...repository.files]
    .filter((path) => (path === file || path.startsWith(folder)) && path.endsWith(".ts"))
    .filter((path) => !path.endsWith(".test.ts"))
    .map((path) => repository.read(path))
    .join("\n");
}

/** As a key of what `parseArgs` is given, in a list of names, or written out. */
function isKnown(option: string, sources: string): boolean {
  return new RegExp(`"(?:--)?${option}"|\\b${option}: \\{|--${option}\\b`).test(sources);
}
