/** A database of a run's own, on the parts' server. */
import { join } from "node:path";
import { SQL } from "bun";
import { isAlive } from "../../shared/is-alive.ts";
import { ReaderError } from "./reader-error.ts";

/** See {@link createDatabase}. */
export interface RunDatabase {
  readonly name: string;
  /** For the programs. */
  readonly url: string;
  /**
   * Asks in the runner's name; PostgreSQL's log leaves that out.
   * @throws ReaderError where it refuses
   */
  rows<Row>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** Ends all connections to it, and removes it. Safe to call again. */
  drop(): Promise<void>;
}

/** What the runner itself asks is not among the statements that a check looks at. */
const UNLOGGED = { log_statement: "none" };

/**
 * Creates it, and runs the folder's schema.sql in it.
 * @param adminUrl of another database on the server, as a superuser
 * @throws ReaderError where PostgreSQL does not take schema.sql
 */
export async function createDatabase(adminUrl: string, folder: string): Promise<RunDatabase> {
  // Whose it is stands in its name, so that the next run can remove it where that was killed.
  const name = `tutorial_${process.pid}_${crypto.randomUUID().slice(-12)}`;
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  await inAdmin(adminUrl, async (admin) => {
    await dropOrphans(admin);
    await admin.unsafe(`CREATE DATABASE ${name}`);
  });
  const sql = new SQL(url.href, { max: 1, connection: UNLOGGED });
  let dropping: Promise<void> | undefined;
  const drop = async () => {
    await sql.close({ timeout: 0 });
    await inAdmin(adminUrl, (admin) => dropDatabase(admin, name));
  };
  const database: RunDatabase = {
    name,
    url: url.href,
    async rows(text, values = []) {
      try {
        return [...(await sql.unsafe(text, [...values]))];
      } catch (cause) {
        throw new ReaderError(`the database refuses ${text}: ${String(cause)}`, { cause });
      }
    },
    drop: () => (dropping ??= drop()),
  };
  try {
    const schema = await Bun.file(join(folder, "schema.sql")).text();
    await sql.unsafe(schema);
    return database;
  } catch (cause) {
    await database.drop();
    throw new ReaderError(`schema.sql could not be run: ${String(cause)}`, { cause });
  }
}

/** Removes the databases of runs that were killed. */
async function dropOrphans(admin: SQL): Promise<void> {
  const found: { datname: string }[] = await admin.unsafe("SELECT datname FROM pg_database");
  for (const { datname } of found) {
    const [, pid] = /^tutorial_(\d+)_/.exec(datname) ?? [];
    if (pid !== undefined && !isAlive(Number(pid))) await dropDatabase(admin, datname);
  }
}

async function dropDatabase(admin: SQL, name: string): Promise<void> {
  await admin.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
}

async function inAdmin(adminUrl: string, work: (admin: SQL) => Promise<unknown>): Promise<void> {
  const admin = new SQL(adminUrl, { max: 1, connection: UNLOGGED });
  try {
    await work(admin);
  } finally {
    await admin.close({ timeout: 0 });
  }
}
