// Tests of the pool, over connections that run nothing and can be made to go silent.
import { afterAll, expect, test } from "bun:test";
import { SQL } from "bun";
import { ConnectionPool, POOL_LIMITS, type PoolLimits } from "./connection-pool.ts";
import { PoolError, type Session } from "./pooled-connection.ts";

/** Far shorter than in earnest, and still far longer than what does not wait. */
const LIMITS: PoolLimits = {
  ...POOL_LIMITS,
  connectionsMax: 3,
  acquireMs: 200,
  connectMs: 200,
  statementMs: 200,
  checkMs: 100,
};

/** A connection of a server that is told what to answer. */
class FakeSession implements Session {
  readonly ran: string[] = [];
  isSilent = false;
  isClosed = false;
  readonly opened: Promise<void>;
  readonly #answer: Answer;
  readonly #pending = new Set<(error: Error) => void>();
  readonly #onClosed: () => void;
  constructor(answer: Answer, isConnected: boolean, onClosed: () => void) {
    this.#answer = answer;
    this.#onClosed = onClosed;
    this.opened = isConnected
      ? Promise.resolve()
      : new Promise((_, reject) => this.#pending.add(reject));
  }
  async unsafe(text: string): Promise<unknown> {
    this.ran.push(text);
    const lost = Promise.withResolvers<never>();
    this.#pending.add(lost.reject);
    const silence = new Promise<never>(() => {});
    const answer = this.isSilent ? silence : Promise.resolve(this.#answer(text));
    return await Promise.race([answer, lost.promise]);
  }
  async close() {
    this.lose();
  }
  /** The connection breaks. */
  lose() {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const reject of this.#pending) reject(new Error("Connection closed"));
    this.#onClosed();
  }
}

type Answer = (text: string) => Promise<unknown> | unknown;

/** A server that is told what to do, and a pool of connections to it. */
class FakeServer {
  readonly sessions: FakeSession[] = [];
  readonly pool: ConnectionPool;
  answer: Answer = (text) => [{ text }];
  isConnecting = true;

  constructor(limits: Partial<PoolLimits> = {}) {
    this.pool = new ConnectionPool(
      (onClosed) => {
        const session = new FakeSession((text) => this.answer(text), this.isConnecting, onClosed);
        this.sessions.push(session);
        return session;
      },
      { ...LIMITS, ...limits },
    );
    pools.push(this.pool);
  }

  get openSessions(): FakeSession[] {
    return this.sessions.filter(({ isClosed }) => !isClosed);
  }

  /** Opens that many connections, which are idle then. */
  async warm(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.pool.unsafe("warm")));
    expect(this.sessions).toHaveLength(count);
  }
}

const pools: ConnectionPool[] = [];
afterAll(() => Promise.all(pools.map((pool) => pool.close(0))));

/** Lets everything that is ready happen. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const codeOf = (work: PromiseLike<unknown>) =>
  work.then(
    () => "answered",
    (error: unknown) => (error instanceof PoolError ? error.code : String(error)),
  );

test.concurrent(
  "hands out the connection used last, and makes one only when all are in use",
  async () => {
    const server = new FakeServer();
    const { pool, sessions } = server;
    await server.warm(3);
    for (const text of ["a", "b", "c"]) expect(await pool.unsafe(text)).toEqual([{ text }]);
    expect(sessions.map(({ ran }) => ran.length).toSorted()).toEqual([1, 1, 4]);
  },
);

test.concurrent("makes no more than it may, and who waits too long is told", async () => {
  const server = new FakeServer();
  const { pool, sessions } = server;
  server.answer = (text) => (text === "slow" ? Bun.sleep(120) : [{ text }]);
  const slow = Promise.all([1, 2, 3].map(() => pool.unsafe("slow")));
  expect(await pool.unsafe("next")).toEqual([{ text: "next" }]);
  await slow;
  expect(sessions).toHaveLength(3);
  const held = await Promise.all([1, 2, 3].map(() => pool.reserve()));
  expect(await codeOf(pool.unsafe("too late"))).toBe("ERR_POSTGRES_ACQUIRE_TIMEOUT");
  held[0]?.release();
  expect(await codeOf(pool.unsafe("in time"))).toBe("answered");
  for (const one of held) one.release();
});

test.concurrent(
  "a silent connection is given up at the limit, with all that have said nothing since",
  async () => {
    const server = new FakeServer();
    const { pool, sessions } = server;
    await server.warm(3);
    for (const session of sessions) session.isSilent = true;
    expect(await codeOf(pool.unsafe("lost"))).toBe("ERR_POSTGRES_ANSWER_TIMEOUT");
    expect(server.openSessions).toEqual([]);
    // One limit's time healed all of it.
    expect(await Promise.all([1, 2, 3].map(() => codeOf(pool.unsafe("again"))))).toEqual(
      Array(3).fill("answered"),
    );
  },
);

test.concurrent("what waits on another silent connection is ended at the same time", async () => {
  const server = new FakeServer({ statementMs: 500 });
  const { pool, sessions } = server;
  await server.warm(3);
  for (const session of sessions) session.isSilent = true;
  const first = codeOf(pool.unsafe("first"));
  await Bun.sleep(250);
  const startedMs = performance.now();
  expect(await codeOf(pool.unsafe("second"))).toContain("Connection closed");
  expect(performance.now() - startedMs).toBeLessThan(450);
  expect(await first).toBe("ERR_POSTGRES_ANSWER_TIMEOUT");
});

test.concurrent("a connection that has been heard since is kept", async () => {
  const server = new FakeServer();
  const { pool, sessions } = server;
  await server.warm(2);
  const [silent, healthy] = sessions;
  if (!silent || !healthy) throw new Error("two are open");
  const taken = [await pool.reserve(), await pool.reserve()];
  silent.isSilent = true;
  const answers = taken.map((one) => codeOf(one.unsafe("x")));
  expect((await Promise.all(answers)).toSorted()).toEqual([
    "ERR_POSTGRES_ANSWER_TIMEOUT",
    "answered",
  ]);
  for (const one of taken) one.release();
  expect([silent.isClosed, healthy.isClosed]).toEqual([true, false]);
});

test.concurrent(
  "one that was quiet for long is asked first; silent ones cost a check's time and no request",
  async () => {
    const server = new FakeServer({ trustMs: 0, statementMs: 60_000 });
    const { pool, sessions } = server;
    await server.warm(3);
    for (const session of sessions) session.isSilent = true;
    expect(await pool.unsafe("a")).toEqual([{ text: "a" }]);
    expect(
      sessions
        .slice(0, 3)
        .flatMap(({ ran }) => ran)
        .toSorted(),
    ).toEqual(
      ["SELECT 1", "warm", "warm", "warm"], // one is asked, all three are given up
    );
    expect(server.openSessions).toHaveLength(1);
  },
);

test.concurrent("a check that fails leaves alone what is in use", async () => {
  const server = new FakeServer({ trustMs: 0, statementMs: 60_000 });
  const { pool, sessions } = server;
  await server.warm(2);
  server.answer = (text) => (text === "slow" ? Bun.sleep(300) : [{ text }]);
  const slow = codeOf(pool.unsafe("slow"));
  await settle();
  const quiet = sessions.find(({ ran }) => !ran.includes("slow"));
  if (quiet) quiet.isSilent = true;
  expect(await pool.unsafe("a")).toEqual([{ text: "a" }]);
  expect([await slow, quiet?.isClosed]).toEqual(["answered", true]);
});

test.concurrent("one that closed while it was idle is not handed out", async () => {
  const server = new FakeServer();
  const { pool, sessions } = server;
  await server.warm(1);
  sessions[0]?.lose();
  expect(pool.size).toBe(0);
  expect(await pool.unsafe("a")).toEqual([{ text: "a" }]);
  expect(sessions).toHaveLength(2);
});

test.concurrent("connecting has a limit, and what was begun is closed", async () => {
  const server = new FakeServer();
  const { pool, sessions } = server;
  server.isConnecting = false;
  expect(await codeOf(pool.unsafe("a"))).toBe("ERR_POSTGRES_CONNECTION_TIMEOUT");
  expect([pool.size, sessions[0]?.isClosed]).toEqual([0, true]);
  server.isConnecting = true;
  expect(await codeOf(pool.unsafe("a"))).toBe("answered");
});

test.concurrent("a transaction whose connection was given up goes on nowhere else", async () => {
  const server = new FakeServer();
  const { pool, sessions } = server;
  await server.warm(1);
  const transaction = await pool.reserve();
  await transaction.unsafe("BEGIN");
  const [session] = sessions;
  if (session) session.isSilent = true;
  expect(await codeOf(transaction.unsafe("INSERT"))).toBe("ERR_POSTGRES_ANSWER_TIMEOUT");
  const startedMs = performance.now();
  expect(await codeOf(transaction.unsafe("ROLLBACK"))).toBe("ERR_POSTGRES_CONNECTION_CLOSED");
  expect(performance.now() - startedMs).toBeLessThan(LIMITS.statementMs / 2);
  transaction.release();
  await pool.unsafe("next");
  expect(sessions.map(({ ran }) => ran)).toEqual([["warm", "BEGIN", "INSERT"], ["next"]]);
});

test.concurrent("a connection that is given back twice is there once", async () => {
  const { pool, sessions } = new FakeServer();
  const transaction = await pool.reserve();
  transaction.release();
  transaction.release();
  const both = [await pool.reserve(), await pool.reserve()];
  await Promise.all(both.map((one, index) => one.unsafe(String(index))));
  expect(sessions.map(({ ran }) => ran).toSorted()).toEqual([["0"], ["1"]]);
  for (const one of both) one.release();
});

test.concurrent("a transaction runs nothing after it has ended", async () => {
  const { pool } = new FakeServer();
  const transaction = await pool.reserve();
  await transaction.unsafe("BEGIN");
  await transaction.unsafe("COMMIT");
  transaction.release();
  expect(await codeOf(transaction.unsafe("INSERT"))).toBe("ERR_POSTGRES_CONNECTION_CLOSED");
});

test.concurrent("a connection whose ROLLBACK failed is not used again", async () => {
  const server = new FakeServer();
  const { pool } = server;
  const transaction = await pool.reserve();
  server.answer = () => Promise.reject(new Error("no"));
  expect(await codeOf(transaction.unsafe("ROLLBACK"))).toBe("Error: no");
  transaction.release();
  expect(server.openSessions).toEqual([]);
});

test.concurrent("what the server says is thrown as it is, and its connection goes on", async () => {
  const server = new FakeServer();
  const { pool, sessions } = server;
  const refused = new SQL.PostgresError("duplicate key", { errno: "23505" } as never);
  server.answer = (text) => (text === "INSERT" ? Promise.reject(refused) : [{ text }]);
  expect(await pool.unsafe("INSERT").catch((error: unknown) => error)).toBe(refused);
  await pool.unsafe("next");
  expect(sessions.map(({ ran }) => ran)).toEqual([["INSERT", "next"]]);
});

test.concurrent("a server that became read-only gets no connection again", async () => {
  const server = new FakeServer();
  const { pool } = server;
  await server.warm(3);
  const readOnly = new SQL.PostgresError("read-only", { errno: "25006" } as never);
  server.answer = (text) => (text === "INSERT" ? Promise.reject(readOnly) : [{ text }]);
  expect(await pool.unsafe("INSERT").catch((error: unknown) => error)).toBe(readOnly);
  await pool.unsafe("next");
  expect(server.openSessions.map(({ ran }) => ran)).toEqual([["next"]]);
});

test.concurrent("idle connections have an end, and so have old ones", async () => {
  const idle = new FakeServer({ idleMs: 0 });
  await idle.warm(2);
  await Bun.sleep(2);
  idle.pool.sweep();
  expect(idle.pool.size).toBe(0);
  const { pool } = new FakeServer({ lifetimeMs: 0 });
  await pool.unsafe("a");
  expect(pool.size).toBe(0);
});

test.concurrent("closing waits for what is in use", async () => {
  const server = new FakeServer();
  const { pool } = server;
  server.answer = () => Bun.sleep(50).then(() => "done");
  const inUse = pool.unsafe("a");
  await settle();
  await pool.close(5_000);
  expect(await inUse).toBe("done");
  expect(await codeOf(pool.unsafe("b"))).toBe("ERR_POSTGRES_CONNECTION_CLOSED");
});

test.concurrent("closing does not wait for ever", async () => {
  const server = new FakeServer();
  const { pool, sessions } = server;
  server.answer = () => new Promise(() => {});
  void pool.unsafe("never answered").catch(() => {});
  await settle();
  expect(sessions.at(-1)?.ran).toHaveLength(1);
  const startedMs = performance.now();
  await pool.close(20);
  expect(performance.now() - startedMs).toBeLessThan(150);
  expect(server.openSessions).toEqual([]);
});

/** As a server does that gets several statements at once: one after the other. */
function oneByOne(durationMs: number): Answer {
  let before: Promise<unknown> = Promise.resolve();
  return (text) => {
    before = before.then(() => (text === "never" ? new Promise(() => {}) : Bun.sleep(durationMs)));
    return before.then(() => [{ text }]);
  };
}

test.concurrent(
  "of statements that are sent at once each has its time from the answer before its own on",
  async () => {
    const server = new FakeServer();
    const { pool } = server;
    server.answer = oneByOne(0.6 * LIMITS.statementMs);
    const transaction = await pool.reserve();
    const rows = await Promise.all(["a", "b", "c"].map((text) => transaction.unsafe(text)));
    expect(rows).toEqual([[{ text: "a" }], [{ text: "b" }], [{ text: "c" }]]);
    const [, late] = await Promise.allSettled(
      ["d", "never"].map((text) => codeOf(transaction.unsafe(text))),
    );
    expect(late).toMatchObject({ value: "ERR_POSTGRES_ANSWER_TIMEOUT" });
    transaction.release();
    expect(server.openSessions).toEqual([]);
  },
);

test.concurrent("a success of earlier does not make up for a ROLLBACK that failed", async () => {
  const server = new FakeServer();
  const { pool } = server;
  const slow = Promise.withResolvers<unknown>();
  server.answer = (text) => (text === "ROLLBACK" ? Promise.reject(new Error("no")) : slow.promise);
  const transaction = await pool.reserve();
  const before = transaction.unsafe("INSERT");
  await expect(transaction.unsafe("ROLLBACK")).rejects.toThrow("no");
  slow.resolve([]);
  await before;
  transaction.release();
  expect(server.openSessions).toEqual([]);
});
