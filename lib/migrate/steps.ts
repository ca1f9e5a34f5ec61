// Which files to run, in which order, to get from one version to another. No I/O.

import { MigrateError } from "./errors.ts";
import type { Migration } from "./migration-files.ts";

/** One file to run. */
export interface Step {
  /** File name in the migrations folder. */
  readonly file: string;
  /** Version of the schema before the file; null before the first migration. */
  readonly from: number | null;
  /** Version of the schema after the file; null before the first migration. */
  readonly to: number | null;
}

/**
 * The steps that apply what is not applied yet.
 * @param migrations by ascending version
 * @param current version the database is at, one of `migrations`; null before the first
 * @param stepsMax at most so many steps; undefined for all
 */
export function planUp(
  migrations: readonly Migration[],
  current: number | null,
  stepsMax?: number,
): Step[] {
  return migrations
    .map((migration, index) => ({
      file: migration.upFile,
      from: migrations[index - 1]?.version ?? null,
      to: migration.version,
    }))
    .filter((step) => current === null || step.to > current)
    .slice(0, stepsMax);
}

/**
 * The steps that undo what was applied last. All of them are known to have a file before the first
 * one runs.
 * @param migrations by ascending version
 * @param current version the database is at, one of `migrations`; null before the first
 * @param stepsMax at most so many steps
 * @throws MigrateError where one of the migrations to undo has no down file
 */
export function planDown(
  migrations: readonly Migration[],
  current: number | null,
  stepsMax: number,
): Step[] {
  const applied = migrations.filter(({ version }) => current !== null && version <= current);
  return applied
    .map((migration, index) => ({ migration, to: applied[index - 1]?.version ?? null }))
    .toReversed()
    .slice(0, stepsMax)
    .map(({ migration, to }) => {
      if (migration.downFile === null) {
        throw new MigrateError(`${migration.upFile} cannot be undone: it has no .down.sql`);
      }
      return { file: migration.downFile, from: migration.version, to };
    });
}
