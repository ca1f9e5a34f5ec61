/** Which database a client talks to, as all of its spans say it. */
import type { Attributes } from "@opentelemetry/api";
import {
  ATTR_DB_NAMESPACE,
  ATTR_DB_SYSTEM_NAME,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
} from "../attributes.ts";

/** What of a client's options tells where it leads; Bun's `sql.options` is this. */
export interface ConnectionOptions {
  readonly adapter?: string | undefined;
  readonly hostname?: string | undefined;
  readonly port?: number | string | undefined;
  /** A Unix socket, in place of host and port. */
  readonly path?: string | undefined;
  readonly database?: string | undefined;
  /** SQLite's file. */
  readonly filename?: string | URL | undefined;
}

export const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  postgresql: 5432,
  mysql: 3306,
  mariadb: 3306,
};

/**
 * The attributes that tell a database. `db.namespace` is the database's name (a schema stands in every
 * table's name instead), and SQLite's file. All of it is what the client was told: `USE` changes nothing
 * here, and a MariaDB behind a `mysql:` URL is `mysql`, as Bun does not pass on what the server says.
 * @see https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/db/postgresql.md
 * @see https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/db/mariadb.md
 */
export function targetAttributes(options: ConnectionOptions): Attributes {
  const system = options.adapter === "postgres" ? "postgresql" : String(options.adapter);
  if (system === "sqlite") {
    return { [ATTR_DB_SYSTEM_NAME]: system, [ATTR_DB_NAMESPACE]: String(options.filename) };
  }
  const port = Number(options.port) || DEFAULT_PORTS[system];
  return {
    [ATTR_DB_SYSTEM_NAME]: system,
    ...(options.database && { [ATTR_DB_NAMESPACE]: options.database }),
    [ATTR_SERVER_ADDRESS]: options.path ?? options.hostname ?? "localhost",
    ...(port === DEFAULT_PORTS[system] || options.path ? {} : { [ATTR_SERVER_PORT]: port }),
  };
}

/** The same of a PostgreSQL URL. @throws TypeError for what is no URL */
export function postgresTarget(url: string): Attributes {
  const { hostname, port, pathname } = new URL(url);
  const database = decodeURIComponent(pathname.slice(1));
  return targetAttributes({ adapter: "postgres", hostname, port, database });
}
