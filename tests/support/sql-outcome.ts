/** What a call of Bun's `SQL` came to, so that two clients can be held against each other. */
import { SQL } from "bun";

/** @returns its result or its error, in a form that can be compared */
export async function outcome(call: (sql: SQL) => unknown, sql: SQL): Promise<unknown> {
  const seen: unknown[] = [];
  try {
    seen.push(await call(sql));
  } catch (error) {
    const { name, message, code, errno } = error as Record<string, unknown>;
    seen.push({
      thrown: { name, message, code, errno },
      isSqlError: error instanceof SQL.SQLError,
    });
  }
  return seen.map((value) => {
    if (!Array.isArray(value)) return value;
    const { count, command, affectedRows } = value as unknown as Record<string, unknown>;
    return { rows: [...value], class: value.constructor.name, count, command, affectedRows };
  });
}
