// The version table golang-migrate keeps in the database: one row that says which version the schema is at. And our
// own list beside it, of the migrations that have run: the version table alone cannot tell one that was added later
// under a lower number, and so has not.

import type { MigrationSession } from "./connection.ts";
import { MigrateError } from "./errors.ts";

/** What the version table says. */
export interface VersionEntry {
  /** Version the schema is at, or was on its way to where `dirty`; null before the first. */
  readonly version: number | null;
  /** True from before a file runs until after it: where it stays true, nobody knows how far it came. */
  readonly dirty: boolean;
}

// golang-migrate uses the connection's current_schema(), which is public unless somebody changed
// search_path. Here it is named, as every table is.
const VERSION_TABLE = "public.schema_migrations";

const LIST = "public.schema_migrations_applied";

/** golang-migrate's number for "before the first migration". */
export const NO_VERSION = -1;

/**
 * Creates the version table and the list where they are missing. Call it under the migration lock.
 * @returns whether there is a list: whoever may not create tables in public has none
 * @throws MigrateError where there is a list and no version table: somebody has dropped it
 * @see https://github.com/golang-migrate/migrate/blob/v4.19.0/database/postgres/postgres.go
 */
export async function ensureVersionTable(session: MigrationSession): Promise<boolean> {
  const hasList = await tableExists(session, LIST);
  // Asked first, since CREATE … IF NOT EXISTS needs the right to create even where there is nothing
  // to do.
  if (!(await tableExists(session, VERSION_TABLE))) {
    if (hasList && (await readVersions(session)).length > 0)
      throw new MigrateError(NO_VERSION_TABLE);
    await session.ask(
      `create table if not exists ${VERSION_TABLE} (version bigint not null primary key, dirty boolean not null)`,
    );
  }
  if (hasList) return true;
  const [may] = await session.ask<{ create: boolean }>(
    `select has_schema_privilege('public', 'CREATE') as create`,
  );
  if (may?.create !== true) return false;
  await session.ask(
    `create table if not exists ${LIST} (version bigint not null primary key, applied_at timestamptz not null default now())`,
  );
  return true;
}

const NO_VERSION_TABLE =
  `the database has no ${VERSION_TABLE}, though ${LIST} says that migrations have run: bring the schema to a ` +
  `version by hand, drop the list as well, then name the version with "bun run migrate force V"`;

/** Reads the version table; a database without one is before the first migration. */
export async function readVersionTable(session: MigrationSession): Promise<VersionEntry> {
  if (!(await tableExists(session, VERSION_TABLE))) return { version: null, dirty: false };
  // Bun returns a bigint column as a string.
  const rows = await session.ask<{ version: string; dirty: boolean }>(
    `select version, dirty from ${VERSION_TABLE} limit 1`,
  );
  const row = rows[0];
  if (row === undefined) return { version: null, dirty: false };
  const version = Number(row.version);
  return { version: version === NO_VERSION ? null : version, dirty: row.dirty };
}

/** Replaces the version table's row, in one transaction, as golang-migrate does. */
export async function writeVersionTable(
  session: MigrationSession,
  entry: VersionEntry,
  hasList: boolean,
): Promise<void> {
  const { version, dirty } = entry;
  // A clean "before the first" is an empty table; a dirty one must be seen, so it gets a row.
  const insert =
    version === null && !dirty
      ? ""
      : `insert into ${VERSION_TABLE} (version, dirty) values (${version ?? NO_VERSION}, ${dirty});`;
  const list = dirty || !hasList ? "" : listSql(version, version === null ? [] : [version]);
  await session.ask(`begin; truncate ${VERSION_TABLE}; ${insert} ${list} commit`);
}

/**
 * Brings the list to where the version table is: golang-migrate, which knows no list, may have worked in between.
 * Call it under the migration lock, with a version table that is clean.
 * @param version as the version table says
 * @param known versions that there are files for
 * @returns the versions of the list, all of them up to `version`
 */
export async function readList(
  session: MigrationSession,
  version: number | null,
  known: readonly number[],
): Promise<Set<number>> {
  // What it has not seen is taken to be what golang-migrate ran: all above the last that it has.
  const last = Math.max(NO_VERSION, ...(await readVersions(session)));
  const unseen = known.filter(
    (one) => version !== null && (one === version || (one > last && one < version)),
  );
  await writeList(session, version, unseen);
  return new Set(await readVersions(session));
}

/** Says that all of these have run, whoever ran them. */
export async function writeList(
  session: MigrationSession,
  version: number | null,
  applied: readonly number[],
): Promise<void> {
  await session.ask(`begin; ${listSql(version, applied)} commit`);
}

/** Adds to the list, and ends it at the version table's version. */
function listSql(version: number | null, added: readonly number[]): string {
  const values = added.map((one) => `(${one})`).join(", ");
  const insert = values && `insert into ${LIST} (version) values ${values} on conflict do nothing;`;
  return `delete from ${LIST} where version > ${version ?? NO_VERSION}; ${insert}`;
}

async function readVersions(session: MigrationSession): Promise<number[]> {
  const rows = await session.ask<{ version: string }>(`select version from ${LIST}`);
  return rows.map(({ version }) => Number(version));
}

async function tableExists(session: MigrationSession, table: string): Promise<boolean> {
  const rows = await session.ask<{ found: boolean }>(
    `select to_regclass('${table}') is not null as found`,
  );
  return rows[0]?.found === true;
}
