/** The files of a checkout, as the documents name them. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** What documents are held against. */
export interface Repository {
  /** Paths from the root, with "/". */
  readonly files: ReadonlySet<string>;
  /** Every folder that a file is in; the root is "". */
  readonly folders: ReadonlySet<string>;
  /** Names of package.json's scripts. */
  readonly scripts: ReadonlySet<string>;
  /** @throws Error where it is none of the files */
  read(path: string): string;
}

const NEVER = new Set([".git", "node_modules", ".orderflow", "dist", "cache"]);

/**
 * @param root of the checkout
 * @returns what git has or would take, as far as it is there; without git, what stands in the folders
 */
export function openRepository(root: string): Repository {
  const listed = filesInGit(root) ?? filesBelow(root, "");
  const files = listed.filter((path) => existsSync(join(root, path)));
  return repositoryOf(files, (path) => readFileSync(join(root, path), "utf8"));
}

/**
 * @param files paths from the root
 * @param read the text of one of them
 */
export function repositoryOf(files: readonly string[], read: (path: string) => string): Repository {
  const known = new Set(files);
  return {
    files: known,
    folders: new Set(["", ...files.flatMap(foldersOf)]),
    scripts: known.has("package.json") ? scriptsOf(read("package.json")) : new Set(),
    read(path) {
      if (!known.has(path)) throw new Error(`there is no file ${path}`);
      return read(path);
    },
  };
}

function filesInGit(root: string): string[] | undefined {
  const command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  try {
    const { success, stdout } = Bun.spawnSync(command, { cwd: root, stderr: "ignore" });
    if (!success) return undefined;
    return [...new Set(stdout.toString().split("\0").filter(Boolean))];
  } catch {
    return undefined; // git is not installed
  }
}

function filesBelow(root: string, folder: string): string[] {
  return readdirSync(join(root, folder))
    .filter((name) => !NEVER.has(name))
    .flatMap((name) => {
      const path = folder ? `${folder}/${name}` : name;
      return statSync(join(root, path)).isDirectory() ? filesBelow(root, path) : [path];
    });
}

function foldersOf(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

function scriptsOf(text: string): Set<string> {
  const { scripts = {} } = JSON.parse(text) as { scripts?: Record<string, string> };
  return new Set(Object.keys(scripts));
}
