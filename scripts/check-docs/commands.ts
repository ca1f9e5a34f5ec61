/** Commands that cannot be run: the scripts, targets and files that they name are not there. */
import { posix } from "node:path";
import type { Repository } from "./repository.ts";

/** Of Bun's test runner, those with a value behind them. */
const TEST_OPTIONS_WITH_VALUE = new Set(["-t", "--test-name-pattern", "--timeout", "--seed"]);
const PATH = /^(?:\.\.?\/)*[\w.@-]+(?:\/[\w.@-]+)+\/?$/;
const SCRIPT = /^[a-z][\w:-]*$/;

/**
 * Looks at `bun run NAME`, `bun FILE` and `bun test FILES`, with npx or without, and at `make NAME`.
 * @param text lines of a shell, or one command
 * @returns what is wrong, and in which line of the text: 0 is the first
 */
export function brokenCommands(
  text: string,
  repository: Repository,
): { readonly line: number; readonly text: string }[] {
  // Undefined: in a folder that is the reader's own, where anything may be.
  let folder: string | undefined = "";
  const problems: { line: number; text: string }[] = [];
  for (const [line, written] of text.split("\n").entries()) {
    for (const command of written.replace(/(^|\s)#.*$/, "").split(/&&|\|\||[;|]/)) {
      const words = command.trim().split(/\s+/);
      if (words[0] === "cd") folder = entered(folder, words[1] ?? "", repository);
      const problem = folder === undefined ? undefined : brokenCommand(words, folder, repository);
      if (problem) problems.push({ line, text: problem });
    }
  }
  return problems;
}

function entered(
  folder: string | undefined,
  into: string,
  repository: Repository,
): string | undefined {
  if (folder === undefined) return undefined;
  const path = inFolder(folder, into);
  return repository.folders.has(path) ? path : undefined;
}

function brokenCommand(
  words: readonly string[],
  folder: string,
  repository: Repository,
): string | undefined {
  if (words[0] === "make") return brokenMake(words[1], folder, repository);
  const bunAt = words.findIndex((word) => word === "bun" || /^bun@[\d.]+$/.test(word));
  if (bunAt < 0) return undefined;
  const [verb, ...args] = words.slice(bunAt + 1).filter((word) => word !== "--no-orphans");
  if (verb === "run") return brokenRun(args.find(isNoOption), folder, repository);
  if (verb === "test") return brokenTest(args, folder, repository);
  // Options of Bun's own may have values: only what has the look of a path is taken for one.
  const file = [verb, ...args].find((word) => word !== undefined && isNoOption(word));
  return file !== undefined && PATH.test(file) && /\.[mc]?[jt]sx?$/.test(file)
    ? missingFile(file, folder, repository)
    : undefined;
}

function brokenRun(
  name: string | undefined,
  folder: string,
  repository: Repository,
): string | undefined {
  if (name === undefined) return undefined;
  if (PATH.test(name)) return missingFile(name, folder, repository);
  if (!SCRIPT.test(name) || folder !== "" || repository.scripts.has(name)) return undefined;
  return `bun run ${name}: package.json has no script ${name}`;
}

function brokenMake(
  name: string | undefined,
  folder: string,
  repository: Repository,
): string | undefined {
  if (name === undefined || !SCRIPT.test(name) || folder !== "") return undefined;
  const targets = repository.files.has("Makefile") ? repository.read("Makefile") : "";
  // One rule may have several targets.
  if (new RegExp(`^(?:[\\w-]+ +)*${name}(?: +[\\w-]+)*:`, "m").test(targets)) return undefined;
  return `make ${name}: the Makefile has no ${name}`;
}

function brokenTest(
  args: readonly string[],
  folder: string,
  repository: Repository,
): string | undefined {
  const names = args.filter(
    (arg, index) => isNoOption(arg) && !TEST_OPTIONS_WITH_VALUE.has(args[index - 1] ?? ""),
  );
  for (const name of names) {
    if (!/^[\w./@-]+$/.test(name)) continue;
    const part = inFolder(folder, name);
    // As Bun does it: a name is a part of a test's path.
    const isFound = [...repository.files].some(
      (path) => /\.test\.tsx?$/.test(path) && path.includes(part),
    );
    if (!isFound) return `bun test ${name}: no test's path has ${part}`;
  }
  return undefined;
}

function missingFile(file: string, folder: string, repository: Repository): string | undefined {
  const path = inFolder(folder, file);
  if (repository.files.has(path) || repository.folders.has(path)) return undefined;
  // Laid there by a command, and never in the repository.
  if (path.startsWith(".orderflow/") || path.startsWith("node_modules/")) return undefined;
  return `bun ${file}: there is no ${path}`;
}

function inFolder(folder: string, path: string): string {
  const joined = posix.normalize(posix.join(folder, path)).replace(/\/$/, "");
  return joined === "." ? "" : joined;
}

function isNoOption(word: string): boolean {
  return !word.startsWith("-");
}
