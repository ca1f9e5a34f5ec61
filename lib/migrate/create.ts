// Makes the two files of a new migration.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { MigrateError } from "./errors.ts";
import { readMigrations, resolveMigrationsFolder } from "./migration-files.ts";

/** True where a new migration may be called so. */
export function isMigrationName(name: string): boolean {
  return /^[a-z0-9_]+$/.test(name);
}

/**
 * Writes `NNNNNN_name.up.sql` and `.down.sql` with the next free number and a comment to complete.
 * @returns the two paths
 * @throws MigrateError where the name is not of a-z, 0-9 and _, or the folder is not in order
 */
export async function createMigration(options: {
  readonly name: string;
  /** As MIGRATIONS_PATH; undefined means this project's own folder. */
  readonly migrationsPath?: string | undefined;
}): Promise<{ upPath: string; downPath: string }> {
  const { name } = options;
  if (!isMigrationName(name)) {
    throw new MigrateError(`a migration's name is made of a-z, 0-9 and _, not ${name}`);
  }
  const folder = resolveMigrationsFolder(options.migrationsPath);
  const migrations = await readMigrations(folder);
  const version = (migrations.at(-1)?.version ?? 0) + 1;
  const stem = join(folder, `${String(version).padStart(6, "0")}_${name}`);
  const upPath = `${stem}.up.sql`;
  const downPath = `${stem}.down.sql`;
  // wx: never over a file that somebody made in the meantime.
  await writeFile(upPath, "-- What this is for, and what happens to existing rows.\n", {
    flag: "wx",
  });
  await writeFile(downPath, "-- What is lost on the way back.\n", { flag: "wx" });
  return { upPath, downPath };
}
