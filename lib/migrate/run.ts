// Runs migrations against a database: golang-migrate's algorithm, so that either tool can go on
// where the other stopped.

import { join } from "node:path";

import { SQL } from "bun";

import {
  ensureVersionTable,
  NO_VERSION,
  readVersionTable,
  readList,
  writeVersionTable,
  writeList,
  type VersionEntry,
} from "./version-table.ts";
import {
  reasonOf,
  withConnection,
  type MigrateLimits,
  type MigrationSession,
} from "./connection.ts";
import { MigrateError } from "./errors.ts";
import { readMigrations, resolveMigrationsFolder, type Migration } from "./migration-files.ts";
import { holdFileLock, LOCK_WAIT_MS, withMigrationLock } from "./migration-lock.ts";
import { planDown, planUp, type Step } from "./steps.ts";

/** Where to run, and from which files. */
export interface MigrateOptions {
  /** `postgres://user:password@host:port/database` */
  readonly postgresUrl: string;
  /** As MIGRATIONS_PATH; undefined means this project's own `migrations/`. */
  readonly migrationsPath?: string | undefined;
  /** How long to wait for another run to end. @default 15_000 */
  readonly lockWaitMs?: number | undefined;
  /** Ends the run: a file that is at work is cancelled, and none is begun after it. */
  readonly signal?: AbortSignal | undefined;
  /** Bounds of each wait for the server. */
  readonly limits?: MigrateLimits | undefined;
  /** Told of what is not wrong with this run, but with the migrations: in one line. */
  readonly onWarning?: ((line: string) => void) | undefined;
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
    const { migrations, passedOver } = await withoutPassedOver(run, from);
    for (const { upFile } of passedOver) {
      options.onWarning?.(
        `${upFile} has not run and never will: the database was past its version when it came ` +
          `(it is at ${from}); give it a higher one`,
      );
    }
    const steps = planUp(migrations, from, options.stepsMax);
    const to = steps.at(-1)?.to ?? from;
    if (to === null) throw new MigrateError(`there are no migrations in ${run.folder}`);
    await runSteps(run, steps, options);
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
    const { migrations, applied } = await withoutPassedOver(run, from);
    const steps = planDown(migrations, from, options.stepsMax);
    const to = steps.at(-1)?.to ?? NO_VERSION;
    const lost = [...applied].find(
      (version) => version > to && !migrations.some((one) => one.version === version),
    );
    if (lost !== undefined) {
      throw new MigrateError(
        `version ${lost} has run, and no migration in ${run.folder} has it: it cannot be undone`,
      );
    }
    await runSteps(run, steps, options);
    const last = steps.at(-1);
    return { from, to: last === undefined ? from : last.to };
  });
}

/**
 * Says which version the database is at. Writes nothing and needs no migration files.
 * @throws MigrateError where the database cannot be asked
 */
export async function readVersion(postgresUrl: string): Promise<VersionEntry> {
  return await withConnection(postgresUrl, readVersionTable);
}

/**
 * Writes a version into the version table, clean, and runs nothing: the last act of a repair by hand. All
 * migrations up to it then count as run.
 * @param options.version one of the migrations' versions; null for "before the first"
 * @throws MigrateError where no migration has that version
 */
export async function forceVersion(
  options: MigrateOptions & { readonly version: number | null },
): Promise<void> {
  const { version } = options;
  await runLocked(options, async ({ session, hasList, migrations, folder }) => {
    if (version !== null && !migrations.some((migration) => migration.version === version)) {
      throw new MigrateError(`no migration in ${folder} has version ${version}`);
    }
    await writeVersionTable(session, { version, dirty: false }, hasList);
    if (!hasList) return;
    const applied = migrations.map((migration) => migration.version);
    await writeList(
      session,
      version,
      applied.filter((one) => version !== null && one <= version),
    );
  });
}

interface Run {
  readonly session: MigrationSession;
  readonly databaseName: string;
  /** Whether our own list is there; without it nothing is known of migrations that came late. */
  readonly hasList: boolean;
  readonly folder: string;
  readonly migrations: readonly Migration[];
}

async function runLocked<T>(options: MigrateOptions, work: (run: Run) => Promise<T>): Promise<T> {
  const folder = resolveMigrationsFolder(options.migrationsPath);
  const migrations = await readMigrations(folder);
  const lockWait = { waitMs: options.lockWaitMs ?? LOCK_WAIT_MS, signal: options.signal };
  const run = (session: MigrationSession, databaseName: string) =>
    withMigrationLock(session, databaseName, lockWait, async () => {
      const hasList = await ensureVersionTable(session);
      return await work({ session, databaseName, hasList, folder, migrations });
    });
  return await withConnection(options.postgresUrl, run, options.limits);
}

async function readCleanVersion({ session, folder, migrations }: Run): Promise<number | null> {
  const { version, dirty } = await readVersionTable(session);
  if (dirty) throw new MigrateError(describeDirty(version, migrations));
  if (version !== null && !migrations.some((migration) => migration.version === version)) {
    throw new MigrateError(
      `the database is at version ${version}, which no migration in ${folder} has`,
    );
  }
  return version;
}

/** Those that came under a lower number than the database had reached are no step of any way. */
async function withoutPassedOver(
  { session, hasList, migrations }: Run,
  current: number | null,
): Promise<{ migrations: Migration[]; passedOver: Migration[]; applied: Set<number> }> {
  const versions = migrations.map(({ version }) => version);
  const applied = hasList ? await readList(session, current, versions) : new Set(versions);
  const isPassedOver = ({ version }: Migration) =>
    current !== null && version <= current && !applied.has(version);
  return {
    migrations: migrations.filter((migration) => !isPassedOver(migration)),
    passedOver: migrations.filter(isPassedOver),
    applied,
  };
}

async function runSteps(
  { session, databaseName, hasList, folder }: Run,
  steps: readonly Step[],
  { signal, onStep }: MigrateOptions,
): Promise<void> {
  // All of them first: what cannot be read must not be found when half of the way is done.
  const files = await Promise.all(
    steps.map(async (step) => ({ step, statements: await readStatements(folder, step.file) })),
  );
  for (const { step, statements } of files) {
    const startMs = performance.now();
    await using file = await session.openFile();
    await holdFileLock(file, databaseName);
    if (signal?.aborted) throw new MigrateError(`interrupted before ${step.file}`);
    await writeVersionTable(session, { version: step.to, dirty: true }, hasList);
    const cancel = () =>
      void session.ask(`select pg_cancel_backend(${file.pid})`).catch(() => undefined);
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      // The whole file in one simple query: PostgreSQL runs it as one transaction, unless the file
      // commits by itself. No time limit: a large backfill may rightly take hours.
      await file.run(statements);
    } catch (error) {
      throw new MigrateError(describeFailure(step, statements, error), { cause: error });
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
    try {
      await writeVersionTable(session, { version: step.to, dirty: false }, hasList);
    } catch (error) {
      throw new MigrateError(describeUnwritten(step, error), { cause: error });
    }
    onStep?.(step, performance.now() - startMs);
  }
}

/** @throws MigrateError where the file is no text that PostgreSQL would get as it stands there */
async function readStatements(folder: string, file: string): Promise<string> {
  const bytes = await Bun.file(join(folder, file)).bytes();
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new MigrateError(`${file} is not UTF-8; nothing has run`, { cause: error });
  }
  // On the wire it is the end of the statements: the rest of the file would be lost in silence.
  if (text.includes("\0")) throw new MigrateError(`${file} holds a NUL byte; nothing has run`);
  return text;
}

function describeFailure(step: Step, statements: string, error: unknown): string {
  const reason = reasonOf(error);
  const line = error instanceof SQL.PostgresError ? lineOf(statements, error.position) : null;
  const where = line === null ? step.file : `${step.file}, line ${line}`;
  return (
    `${where}: ${reason}. The database is now dirty at version ${step.to ?? NO_VERSION}; ` +
    `if nothing of the file stayed, "bun run migrate force ${step.from ?? NO_VERSION}" repairs it`
  );
}

function describeUnwritten(step: Step, error: unknown): string {
  return (
    `${step.file} has run, but public.schema_migrations could not be written: ${reasonOf(error)}. Once it can be, ` +
    `"bun run migrate force ${step.to ?? NO_VERSION}" says so`
  );
}

// The version table names the version that the failed file led to, not the file: either the way up to it,
// or the way down from the one after it.
function describeDirty(version: number | null, migrations: readonly Migration[]): string {
  const index = migrations.findIndex((migration) => migration.version === version);
  const suspects = [migrations[index]?.upFile, migrations[index + 1]?.downFile];
  const known = version === null || index >= 0;
  const files = known ? suspects.filter((file) => typeof file === "string").join(" or ") : "a file";
  return (
    `the database is dirty at version ${version ?? NO_VERSION}: ${files} was begun, and ` +
    "public.schema_migrations does not say how far it came; bring the schema to a version by hand, then name it with " +
    `"bun run migrate force V"`
  );
}

// PostgreSQL counts characters from 1; a JavaScript string counts UTF-16 units from 0.
function lineOf(statements: string, position: string | undefined): number | null {
  if (position === undefined) return null;
  const before = [...statements].slice(0, Number(position) - 1);
  return before.filter((character) => character === "\n").length + 1;
}
