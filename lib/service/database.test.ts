import { expect, test } from "bun:test";
import { SQL } from "bun";
import { onDatabase } from "./database.ts";
import { ConflictError, UnavailableError } from "./errors.ts";
import { PoolError } from "./pooled-connection.ts";

/** What a caller gets when the work throws this. */
async function outcome(failure: unknown): Promise<unknown> {
  try {
    return await onDatabase(() => Promise.reject(failure));
  } catch (thrown) {
    return thrown;
  }
}

function postgresError(errno: string | undefined, code = "ERR_POSTGRES_SERVER_ERROR"): Error {
  return new SQL.PostgresError("what PostgreSQL says", { errno, code } as never);
}

test.each([
  "08006",
  "53300",
  "57P01",
  "57014",
  "40001",
  "40P01",
  "25006",
  "25P03",
  "28P01",
  "28000",
  "3D000",
  "3F000",
  "42P01",
])("SQLSTATE %s passes: the caller may try again shortly, and learns no more", async (errno) => {
  const cause = postgresError(errno);
  const error = await outcome(cause);
  expect(error).toBeInstanceOf(UnavailableError);
  expect(error).toMatchObject({ status: 503, retryable: true, cause });
  expect((error as Error).message).not.toContain("PostgreSQL");
});

test("a connection that is lost or refused passes, too", async () => {
  const lost = postgresError(undefined, "ERR_POSTGRES_CONNECTION_CLOSED");
  expect(await outcome(lost)).toBeInstanceOf(UnavailableError);
});

test("a limit of ours that has passed is no different", async () => {
  for (const code of ["ANSWER", "CONNECTION", "ACQUIRE"] as const) {
    const late = new PoolError("late", `ERR_POSTGRES_${code}_TIMEOUT`);
    expect(await outcome(late)).toBeInstanceOf(UnavailableError);
  }
});

test.each(["23505", "42703", "22P02", "42601", "42501", "3B001"])(
  "SQLSTATE %s does not pass by itself, and is thrown on as it is",
  async (errno) => {
    const error = postgresError(errno);
    expect(await outcome(error)).toBe(error);
  },
);

test("what is not the database's is thrown on as it is", async () => {
  for (const error of [new ConflictError("no"), new TypeError("bug"), "text"]) {
    expect(await outcome(error)).toBe(error);
  }
});

test("what the work gives is given back", async () => {
  expect(await onDatabase(async () => 5)).toBe(5);
});
