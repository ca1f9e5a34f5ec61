// Runs migrations against a database: golang-migrate's algorithm, so that either tool can go on
// where the other stopped.

import { join } from "node:path";

import { SQL } from "bun";

import { ensureBook, NO_VERSION, readBook, writeBook, type BookEntry } from "./book.ts";
import {
  describePostgresError,
  withConnection,
  type MigrateLimits,
  type MigrationSession,
} from "./connection.ts";
import { MigrateError } from "./errors.ts";
import { readMigrations, resolveMigrationsFolder, type Migration } from "./migration-files.ts";
import { LOCK_WAIT_MS, withMigrationLock } from "./migration-lock.ts";
import { planDown, planUp, type Step } from "./steps.ts";

/** Where to run, and from which files. */
export interface MigrateOptions {
  /** `postgres://user:password@host:port/database` */
  readonly postgresUrl: string;
  /** As MIGRATIONS_PATH; undefined means this project's own `migrations/`. */
  readonly migrationsPath?: string | undefined;
  /** How long to wait for another run to end. @default 15_000 */
  readonly lockWaitMs?: number | undefined;
  /** Bounds of each wait for the server. */
  readonly limits?: MigrateLimits | undefined;
  /** Called after each file, with the time it took. */
  readonly onStep?: ((step: Step, durationMs: number) => void) | undefined;
}

/**
 * Applies migrations that are not applied yet.
 * @param options.stepsMax at most so many (1 or more); undefined for all
 * @returns the version before (null: none) and after; equal where there was nothing to do
 * @throws MigrateError with one line that says what is wrong; the database is then dirty exactly
 *   where a file failed
 */
export async function migrateUp(
  options: MigrateOptions & { readonly stepsMax?: number | undefined },
): Promise<{ from: number | null; to: number }> {
  return await runLocked(options, async (run) => {
    const from = await readCleanVersion(run);
    const steps = planUp(run.migrations, from, options.stepsMax);
    const to = steps.at(-1)?.to ?? from;
    if (to === null) throw new MigrateError(`there are no migrations in ${run.folder}`);
    await runSteps(run, steps, options.onStep);
    return { from, to };
  });
}

/**
 * Undoes the migrations applied last.
 * @param options.stepsMax at most so many (1 or more)
 * @returns the version before and after (null: none); equal where there was nothing to do
 * @throws MigrateError as `migrateUp`, and where a migration to undo has no down file
 */
export async function migrateDown(
  options: MigrateOptions & { readonly stepsMax: number },
): Promise<{ from: number | null; to: number | null }> {
  return await runLocked(options, async (run) => {
    const from = await readCleanVersion(run);
    const steps = planDown(run.migrations, from, options.stepsMax);
    await runSteps(run, steps, options.onStep);
    const last = steps.at(-1);
    return { from, to: last === undefined ? from : last.to };
  });
}

/**
 * Says which version the database is at. Writes nothing and needs no migration files.
 * @throws MigrateError where the database cannot be asked
 */
export async function readVersion(postgresUrl: string): Promise<BookEntry> {
  return await withConnection(postgresUrl, readBook);
}

/**
 * Writes a version into the book, clean, and runs nothing: the last act of a repair by hand.
 * @param options.version one of the migrations' versions; null for "before the first"
 * @throws MigrateError where no migration has that version
 */
export async function forceVersion(
  options: MigrateOptions & { readonly version: number | null },
): Promise<void> {
  const { version } = options;
  await runLocked(options, async ({ session, migrations, folder }) => {
    if (version !== null && !migrations.some((migration) => migration.version === version)) {
      throw new MigrateError(`no migration in ${folder} has version ${version}`);
    }
    await writeBook(session, { version, dirty: false });
  });
}

interface Run {
  readonly session: MigrationSession;
  readonly folder: string;
  readonly migrations: readonly Migration[];
}

async function runLocked<T>(options: MigrateOptions, work: (run: Run) => Promise<T>): Promise<T> {
  const folder = resolveMigrationsFolder(options.migrationsPath);
  const migrations = await readMigrations(folder);
  const run = (session: MigrationSession, databaseName: string) =>
    withMigrationLock(session, databaseName, options.lockWaitMs ?? LOCK_WAIT_MS, async () => {
      await ensureBook(session);
      return await work({ session, folder, migrations });
    });
  return await withConnection(options.postgresUrl, run, options.limits);
}

async function readCleanVersion({ session, folder, migrations }: Run): Promise<number | null> {
  const { version, dirty } = await readBook(session);
  if (dirty) throw new MigrateError(describeDirty(version, migrations));
  if (version !== null && !migrations.some((migration) => migration.version === version)) {
    throw new MigrateError(
      `the database is at version ${version}, which no migration in ${folder} has`,
    );
  }
  return version;
}

async function runSteps(
  { session, folder }: Run,
  steps: readonly Step[],
  onStep: MigrateOptions["onStep"],
): Promise<void> {
  for (const step of steps) {
    const startMs = performance.now();
    const statements = await Bun.file(join(folder, step.file)).text();
    await writeBook(session, { version: step.to, dirty: true });
    try {
      // The whole file in one simple query: PostgreSQL runs it as one transaction, unless the file
      // commits by itself. No time limit: a large backfill may rightly take hours.
      await session.runFile(statements);
    } catch (error) {
      throw new MigrateError(describeFailure(step, statements, error), { cause: error });
    }
    await writeBook(session, { version: step.to, dirty: false });
    onStep?.(step, performance.now() - startMs);
  }
}

function describeFailure(step: Step, statements: string, error: unknown): string {
  const reason = error instanceof SQL.PostgresError ? describePostgresError(error) : String(error);
  const line = error instanceof SQL.PostgresError ? lineOf(statements, error.position) : null;
  const where = line === null ? step.file : `${step.file}, line ${line}`;
  return (
    `${where}: ${reason}. The database is now dirty at version ${step.to ?? NO_VERSION}; ` +
    `if nothing of the file stayed, "bun run migrate force ${step.from ?? NO_VERSION}" repairs it`
  );
}

// The book names the version that the failed file led to, not the file: either the way up to it,
// or the way down from the one after it.
function describeDirty(version: number | null, migrations: readonly Migration[]): string {
  const index = migrations.findIndex((migration) => migration.version === version);
  const suspects = [migrations[index]?.upFile, migrations[index + 1]?.downFile];
  const known = version === null || index >= 0;
  const files = known ? suspects.filter((file) => typeof file === "string").join(" or ") : "a file";
  return (
    `the database is dirty at version ${version ?? NO_VERSION}: ${files} stopped half-way; bring ` +
    `the schema to a version by hand, then name it with "bun run migrate force V"`
  );
}

// PostgreSQL counts characters from 1; a JavaScript string counts UTF-16 units from 0.
function lineOf(statements: string, position: string | undefined): number | null {
  if (position === undefined) return null;
  const before = [...statements].slice(0, Number(position) - 1);
  return before.filter((character) => character === "\n").length + 1;
}
