// The book golang-migrate keeps in the database: one row that says which version the schema is at.

import type { MigrationSession } from "./connection.ts";

/** What the book says. */
export interface BookEntry {
  /** Version the schema is at, or was on its way to where `dirty`; null before the first. */
  readonly version: number | null;
  /** True from before a file runs until after it: where it stays true, a file stopped half-way. */
  readonly dirty: boolean;
}

// golang-migrate uses the connection's current_schema(), which is public unless somebody changed
// search_path. Here it is named, as every table is.
const BOOK = "public.schema_migrations";

/** golang-migrate's number for "before the first migration". */
export const NO_VERSION = -1;

/**
 * Creates the book where it is missing. Call it under the migration lock.
 * @see https://github.com/golang-migrate/migrate/blob/v4.19.0/database/postgres/postgres.go
 */
export async function ensureBook(session: MigrationSession): Promise<void> {
  // Asked first, since CREATE … IF NOT EXISTS needs the right to create even where there is nothing
  // to do.
  if (await bookExists(session)) return;
  await session.ask(
    `create table if not exists ${BOOK} (version bigint not null primary key, dirty boolean not null)`,
  );
}

/** Reads the book; a database without one is before the first migration. */
export async function readBook(session: MigrationSession): Promise<BookEntry> {
  if (!(await bookExists(session))) return { version: null, dirty: false };
  // Bun returns a bigint column as a string.
  const rows = await session.ask<{ version: string; dirty: boolean }>(
    `select version, dirty from ${BOOK} limit 1`,
  );
  const row = rows[0];
  if (row === undefined) return { version: null, dirty: false };
  const version = Number(row.version);
  return { version: version === NO_VERSION ? null : version, dirty: row.dirty };
}

/** Replaces the book's row, in one transaction, as golang-migrate does. */
export async function writeBook(session: MigrationSession, entry: BookEntry): Promise<void> {
  const { version, dirty } = entry;
  // A clean "before the first" is an empty book; a dirty one must be seen, so it gets a row.
  const insert =
    version === null && !dirty
      ? ""
      : `insert into ${BOOK} (version, dirty) values (${version ?? NO_VERSION}, ${dirty});`;
  // An explicit BEGIN: a file that left its own transaction open is then committed together with
  // this row, never rolled back while the book says that it ran.
  await session.ask(`begin; truncate ${BOOK}; ${insert} commit`);
}

async function bookExists(session: MigrationSession): Promise<boolean> {
  const rows = await session.ask<{ found: boolean }>(
    `select to_regclass('${BOOK}') is not null as found`,
  );
  return rows[0]?.found === true;
}
