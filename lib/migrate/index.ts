// Schema migrations, in plain SQL files, with golang-migrate's own table.
//
// migration  a numbered change of the schema: NNNNNN_name.up.sql, and .down.sql to undo it
// version    the number of the migration applied last; what the schema is "at"
// table      public.schema_migrations, the version table: one row, the version and whether it is dirty
// list       table public.schema_migrations_applied, our own: which migrations have run
// dirty      a file was begun and its end is not in the version table; a person has to look before anything else runs

export type { VersionEntry } from "./version-table.ts";
export { createMigration, isMigrationName } from "./create.ts";
export { MigrateError } from "./errors.ts";
export { forceVersion, migrateDown, migrateUp, readVersion, type MigrateOptions } from "./run.ts";
export type { Step } from "./steps.ts";
