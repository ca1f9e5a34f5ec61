/** The folder that code locations are relative to. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * The root of the program that runs: the nearest folder above its main module that has a package.json,
 * or in a monorepo the one that declares the workspaces, so that lines of its other packages are below it.
 * Where the program was started from says nothing about where its source lies; it counts only where no
 * package.json is found.
 *
 * @param main the main module's path
 */
export function projectRoot(main = Bun.main, fallback = process.cwd()): string {
  let nearest: string | undefined;
  for (const folder of foldersAbove(main)) {
    const manifest = readManifest(folder);
    if (!manifest) continue;
    if (manifest.workspaces) return folder;
    nearest ??= folder;
  }
  return nearest ?? fallback;
}

function* foldersAbove(path: string): Generator<string> {
  for (let at = path; dirname(at) !== at;) {
    at = dirname(at);
    yield at;
  }
}

function readManifest(folder: string): { workspaces?: unknown } | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as object;
  } catch {
    return undefined;
  }
}
