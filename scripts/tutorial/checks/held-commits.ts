/** Holds up the transactions that store an order, at their COMMIT: what follows it can be prevented then. */
import { SQL } from "bun";
import type { System } from "../system/index.ts";

/** See {@link holdCommits}. */
export interface HeldCommits {
  /** @returns whether so many wait, or came to in time */
  waitFor(count: number): Promise<boolean>;
  /** Lets them go, and those to come pass. */
  release(): Promise<void>;
  /** The same, but nobody looks into the outbox between two of them. @throws where there is no outbox */
  releaseTogether(): Promise<void>;
}

/** An advisory lock's key, of nobody else in the run's own database. */
const LOCK = 6_006;

const FUNCTION = `
  CREATE OR REPLACE FUNCTION hold_commit() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM pg_advisory_xact_lock_shared(${LOCK});
    RETURN NULL;
  END $$`;
/** Deferred: it does its work within COMMIT. */
const TRIGGER = `
  CREATE CONSTRAINT TRIGGER hold_commit AFTER INSERT ON orders
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold_commit()`;
const WAITING = `
  SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

/** Who asks for this lock waits for all that write to the outbox, and is waited for by whoever wants to read. */
const LOCK_OUTBOX = "LOCK TABLE outbox IN EXCLUSIVE MODE";
const LOCKING = `
  SELECT FROM pg_locks WHERE relation = 'outbox'::regclass AND mode = 'ExclusiveLock'`;

/** @throws ReaderError where the database has no table `orders` */
export async function holdCommits(system: System): Promise<HeldCommits> {
  await system.rows(FUNCTION);
  await system.rows(TRIGGER);
  await system.rows(`SELECT pg_advisory_lock(${LOCK})`);
  const release = async () => {
    await system.rows(`SELECT pg_advisory_unlock(${LOCK})`);
    await system.rows("DROP TRIGGER hold_commit ON orders");
  };
  return {
    async waitFor(count) {
      const waiting = await system.rowsWhen(WAITING, (rows) => rows.length >= count);
      return waiting.length >= count;
    },
    release,
    async releaseTogether() {
      await using other = new SQL(system.postgresUrl);
      const locked = other.begin((tx) => tx.unsafe(LOCK_OUTBOX));
      await Promise.race([locked, system.rowsWhen(LOCKING, (rows) => rows.length > 0)]);
      await release();
      await locked;
    },
  };
}

const REFUSAL = `
  CREATE OR REPLACE FUNCTION refuse_commit() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    RAISE EXCEPTION 'there is no order for %', NEW.customer;
  END $$`;

/** Makes PostgreSQL refuse the COMMIT of a customer's order, in words that quote the customer's name. */
export async function refuseCommits(system: System, customer: string): Promise<void> {
  await system.rows(REFUSAL);
  await system.rows(`
    CREATE CONSTRAINT TRIGGER refuse_commit AFTER INSERT ON orders
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.customer = '${customer}')
    EXECUTE FUNCTION refuse_commit()`);
}
