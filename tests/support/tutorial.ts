/** What tests of the tutorial need: parts of their own. */
import { startPostgres } from "#lib/embedded/postgres.ts";
import { startTraceStore } from "#lib/embedded/traces/index.ts";
import type { Parts } from "../../scripts/tutorial/parts.ts";
import { PARTS_SETTINGS, StatementLog } from "../../scripts/tutorial/statement-log.ts";

/** Parts that live in this process, and not in the one that all commands share. */
export interface TestParts extends Parts, AsyncDisposable {}

/** PostgreSQL and a trace store of a test file's own. */
export async function startParts(): Promise<TestParts> {
  const store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
  const log = new StatementLog();
  const postgres = await startPostgres({
    settings: PARTS_SETTINGS,
    onLog: (text) => log.add(text),
  });
  return {
    queryUrl: store.queryUrl,
    otlpUrl: store.otlpUrl,
    postgresUrl: postgres.url,
    statements: async (database) => log.statements(database),
    async [Symbol.asyncDispose]() {
      await Promise.all([postgres.stop(), store.stop()]);
    },
  };
}
