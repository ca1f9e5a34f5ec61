/**
 * One connection of Bun's `SQL`, which is a pool itself: here a pool of one, whose connection is taken
 * out at once. So it can be closed by itself, and is never replaced behind our back.
 */
import { SQL } from "bun";
import type { ReservedSQL } from "bun";
import { databaseOf } from "./postgres-startup.ts";
import { connectionClosed, type Session } from "./pooled-connection.ts";

export interface SessionOptions {
  readonly url: string;
  readonly parameters: Readonly<Record<string, string | number>>;
  /** Named prepared statements; behind a transaction pooler they would meet other clients'. */
  readonly prepare: boolean;
  /** What has to hold before anybody gets the connection; throws where it does not. */
  readonly check?: (connection: ReservedSQL) => Promise<void>;
  /** The driver's own limit for connecting, in seconds: above the pool's, which tells more. */
  readonly connectTimeoutS: number;
}

/** Begins to open it. @param onClosed called when it is closed, by whomever */
export function openPostgresSession(options: SessionOptions, onClosed: () => void): Session {
  const sql = new SQL({
    url: options.url,
    database: databaseOf(options.url),
    max: 1,
    prepare: options.prepare,
    connectionTimeout: options.connectTimeoutS,
    idleTimeout: 0,
    maxLifetime: 0,
    connection: options.parameters,
    onclose: onClosed,
  });
  let reserved: ReservedSQL | undefined;
  const take = async () => {
    const connection = await sql.reserve();
    await options.check?.(connection);
    reserved = connection;
  };
  return {
    opened: take(),
    unsafe(text, values) {
      if (!reserved) throw connectionClosed();
      return reserved.unsafe(text, values);
    },
    // Without a timeout it would wait for what is under way, which may never end.
    close: () => sql.close({ timeout: 0 }),
  };
}
