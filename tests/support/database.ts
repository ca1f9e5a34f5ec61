/** A migrated database of a test's own. */
import { SQL } from "bun";
import { startPostgres } from "#lib/embedded/postgres.ts";
import { migrateUp } from "#lib/migrate/index.ts";

/** An empty database; {@link startDatabase} migrates it. */
export interface TestDatabase {
  readonly url: string;
  /** Removes it, and stops the server where that was started for it. */
  stop(): Promise<void>;
}

/** Makes it on the server of POSTGRES_URL where that is set, else on an embedded one. */
export async function createDatabase(): Promise<TestDatabase> {
  const given = process.env["POSTGRES_URL"];
  if (!given) return await startPostgres();
  const name = `orderflow_test_${crypto.randomUUID().replaceAll("-", "")}`;
  const admin = new SQL(given, { max: 1 });
  await admin.unsafe(`CREATE DATABASE ${name}`);
  const url = new URL(given);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    async stop() {
      await admin.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
      await admin.close();
    },
  };
}

/** The same, with all migrations run. */
export async function startDatabase(): Promise<TestDatabase> {
  const database = await createDatabase();
  try {
    await migrateUp({ postgresUrl: database.url });
  } catch (error) {
    await database.stop();
    throw error;
  }
  return database;
}
