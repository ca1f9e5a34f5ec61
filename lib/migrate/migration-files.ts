// The folder of migration files: which migrations there are, and in what order.

import { readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { MigrateError } from "./errors.ts";

/** One numbered change of the schema, with the file that makes it and the file that undoes it. */
export interface Migration {
  /** The number its file names begin with; migrations run in its order. */
  readonly version: number;
  /** File name in the folder, e.g. `000004_create_outbox.up.sql`. */
  readonly upFile: string;
  /** File name of the way back; null where there is none, and then `down` stops there. */
  readonly downFile: string | null;
}

const FILE_NAME = /^(?<digits>\d+)_(?<name>.+)\.(?<direction>up|down)\.sql$/;

// Wider than FILE_NAME on purpose: what golang-migrate would run (`1_a.up.pgsql`) and what somebody
// clearly meant as a migration (`12_foo.SQL`, `12-foo.up`) must not be passed over in silence.
const LOOKS_LIKE_MIGRATION = /\.(?:pg|my)?sql$|^\d+[_.-]|\.(?:up|down)(?:\.|$)/i;

const PROJECT_MIGRATIONS = fileURLToPath(new URL("../../migrations", import.meta.url));

/**
 * Reads the names in a migrations folder; the files' contents are read when they run.
 * Files that are neither SQL nor named like a migration (a README) are left alone.
 * @param folder path of the folder
 * @returns the migrations by ascending version; empty where the folder holds none
 * @throws MigrateError where the folder cannot be read, a name is malformed, two files claim one
 *   version, or a way back has no way there
 * @see https://github.com/golang-migrate/migrate/blob/v4.19.0/MIGRATIONS.md
 */
export async function readMigrations(folder: string): Promise<Migration[]> {
  const files = new Map<number, { name: string; up: string | null; down: string | null }>();

  for (const fileName of await listFiles(folder)) {
    if (!LOOKS_LIKE_MIGRATION.test(fileName)) continue;
    const { version, name, direction } = parseFileName(fileName);
    const known = files.get(version) ?? { name, up: null, down: null };
    const other = known[direction] ?? (known.name === name ? null : (known.up ?? known.down));
    if (other !== null) {
      throw new MigrateError(`two migrations have version ${version}: ${other} and ${fileName}`);
    }
    files.set(version, { ...known, [direction]: fileName });
  }

  return [...files]
    .map(([version, { name, up, down }]) => {
      if (up === null) throw new MigrateError(`${down} has no ${name}.up.sql of its version`);
      return { version, upFile: up, downFile: down };
    })
    .sort((a, b) => a.version - b.version);
}

/**
 * Turns MIGRATIONS_PATH into a folder.
 * @param path `file://migrations` as golang-migrate writes it, or a plain path; relative ones count
 *   from the working directory. Undefined means this project's own `migrations/`.
 * @throws MigrateError for another scheme than file, or a malformed percent-encoding
 */
export function resolveMigrationsFolder(path: string | undefined): string {
  if (path === undefined) return PROJECT_MIGRATIONS;
  if (!path.includes("://")) return resolve(path);
  // Not fileURLToPath: golang-migrate's `file://migrations` puts a relative path where a URL has
  // its host.
  if (!path.startsWith("file://")) {
    throw new MigrateError(`MIGRATIONS_PATH must be a path or begin with file://, it is ${path}`);
  }
  try {
    return resolve(decodeURIComponent(path.slice("file://".length)));
  } catch (error) {
    throw new MigrateError(`MIGRATIONS_PATH is malformed: ${path}`, { cause: error });
  }
}

async function listFiles(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    const files = entries.filter((entry) => !entry.isDirectory());
    // A link counts as what it leads to; a pipe would be waited for.
    for (const { name } of files.filter((entry) => !entry.isFile())) {
      if (!LOOKS_LIKE_MIGRATION.test(name)) continue;
      const target = await stat(join(folder, name)).catch(() => undefined);
      if (!target?.isFile()) throw new MigrateError(`${name} in ${folder} is no file`);
    }
    return files.map((entry) => entry.name).sort();
  } catch (error) {
    if (error instanceof MigrateError) throw error;
    const code = error instanceof Error && "code" in error ? error.code : "unreadable";
    throw new MigrateError(`cannot read the migrations folder ${folder} (${code})`, {
      cause: error,
    });
  }
}

function parseFileName(fileName: string): {
  version: number;
  name: string;
  direction: "up" | "down";
} {
  const { digits, name, direction } = FILE_NAME.exec(fileName)?.groups ?? {};
  const version = Number(digits);
  if (name === undefined || !Number.isSafeInteger(version)) {
    throw new MigrateError(
      `malformed migration file name ${fileName}: it must look like 000001_create_schemas.up.sql`,
    );
  }
  return { version, name, direction: direction === "up" ? "up" : "down" };
}
