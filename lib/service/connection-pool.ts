/**
 * The pool of connections to PostgreSQL, in which every wait has an end on our side.
 *
 * A connection can go silent: an address that failed over, a dropped NAT entry, a frozen server. No
 * FIN and no RST tells of it, and the server's own limits are none then. So each statement, each
 * connect and each wait for a connection has a limit here; a connection that passes it is given up
 * and replaced, and with it those that have said nothing since: one limit's time heals the pool.
 */
import { logger } from "#lib/telemetry/logs/logger.ts";
import type { Reserved, StatementRunner } from "#lib/telemetry/sql/sql.ts";
import { Slots } from "#lib/waiting/slots.ts";
import { settledWithin } from "#lib/waiting/waiting.ts";
import { remainingMs } from "./deadline.ts";
import {
  connectionClosed,
  PooledConnection,
  PoolError,
  type ConnectionLimits,
  type OpenSession,
} from "./pooled-connection.ts";

/** Bounds of a pool; times in milliseconds. */
export interface PoolLimits extends ConnectionLimits {
  readonly connectionsMax: number;
  /** For a connection to become free; the caller's deadline may be nearer. */
  readonly acquireMs: number;
  /** After so long without a word a connection is asked before it is trusted with a request. */
  readonly trustMs: number;
  /** A connection that nobody has used for so long is closed. */
  readonly idleMs: number;
  /** A connection is replaced at this age, give or take a tenth: so a moved address is followed. */
  readonly lifetimeMs: number;
}

export const POOL_LIMITS: PoolLimits = {
  connectionsMax: 16, // PostgreSQL's own default allows 100 in all
  acquireMs: 5_000,
  connectMs: 4_000,
  statementMs: 5_000,
  checkMs: 1_000,
  trustMs: 1_000,
  idleMs: 5 * 60_000,
  lifetimeMs: 30 * 60_000,
};

const SWEEP_INTERVAL_MS = 5_000;

/** Connections, at most so many, made when they are needed; the one used last is handed out first. */
export class ConnectionPool implements StatementRunner {
  readonly #open: OpenSession;
  readonly #limits: PoolLimits;
  readonly #slots: Slots;
  readonly #all = new Set<PooledConnection>();
  /** Those that nobody uses, the one used last at the end. */
  readonly #idle: PooledConnection[] = [];
  readonly #sweeping: Timer;
  #isClosed = false;

  /** @param open opens one connection of the driver's */
  constructor(open: OpenSession, limits: PoolLimits = POOL_LIMITS) {
    this.#open = open;
    this.#limits = limits;
    this.#slots = new Slots(limits.connectionsMax);
    this.#sweeping = setInterval(() => this.sweep(), SWEEP_INTERVAL_MS);
    this.#sweeping.unref();
  }

  /** How many connections are open, or being opened. */
  get size(): number {
    return this.#all.size;
  }

  /**
   * Runs one statement on a connection that is free.
   * @throws SQL.PostgresError of the server's or the driver's; PoolError where a limit has passed
   */
  async unsafe(text: string, values: unknown[] = []): Promise<unknown> {
    const connection = this.#takeTrusted() ?? (await this.#acquire());
    try {
      return await connection.run(text, values);
    } finally {
      this.#release(connection);
    }
  }

  /** Takes a connection out, for a transaction. @throws as `unsafe` */
  async reserve(): Promise<Reserved> {
    const connection = this.#takeTrusted() ?? (await this.#acquire());
    let isReleased = false;
    let sent = 0;
    let hasFailed = false;
    return {
      unsafe: async (text, values = []) => {
        if (isReleased) throw connectionClosed();
        const own = ++sent;
        hasFailed = true;
        const rows = await connection.run(text, values);
        // Several may be under way: it is the last one that counts.
        if (own === sent) hasFailed = false;
        return rows;
      },
      release: () => {
        if (isReleased) return;
        isReleased = true;
        // The last statement ends the transaction: where that failed, it may still be open.
        if (hasFailed) void connection.close();
        this.#release(connection);
      },
    };
  }

  /** Closes all connections: those in use as soon as they are free, or else after `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#sweeping);
    const closing = this.#idle.slice().map((connection) => connection.close());
    await settledWithin(this.#slots.idle(), timeoutMs);
    for (const connection of this.#all) closing.push(connection.close());
    await settledWithin(Promise.all(closing), timeoutMs);
  }

  /** Closes what was not used for long, or is old enough; done by itself every few seconds. */
  sweep(): void {
    const nowMs = performance.now();
    const isOver = ({ usedMs, endMs }: PooledConnection) =>
      nowMs - usedMs > this.#limits.idleMs || nowMs > endMs;
    // First all of them, then the closing: that takes them out of the list.
    for (const connection of this.#idle.filter(isOver)) void connection.close();
  }

  /** What nearly every statement finds, without a wait: a connection that was heard just now. */
  #takeTrusted(): PooledConnection | undefined {
    const connection = this.#idle.at(-1);
    if (!connection || !this.#isTrusted(connection) || !this.#slots.tryAcquire()) return undefined;
    this.#idle.pop();
    connection.isTaken = true;
    return connection;
  }

  async #acquire(): Promise<PooledConnection> {
    await this.#takeSlot();
    try {
      if (this.#isClosed) throw connectionClosed();
      const connection = (await this.#takeIdle()) ?? (await this.#makeNew());
      connection.isTaken = true;
      return connection;
    } catch (error) {
      this.#slots.release();
      throw error;
    }
  }

  async #takeSlot(): Promise<void> {
    if (this.#slots.tryAcquire()) return;
    // Only where there is a wait: work that was begun goes on, though its caller has gone.
    const limitMs = remainingMs(this.#limits.acquireMs);
    await this.#slots.acquireWithin(limitMs, () => {
      const text = `no connection to PostgreSQL became free within ${limitMs} ms`;
      return new PoolError(text, "ERR_POSTGRES_ACQUIRE_TIMEOUT");
    });
  }

  async #takeIdle(): Promise<PooledConnection | undefined> {
    for (;;) {
      const connection = this.#idle.pop();
      if (!connection) return undefined;
      if (this.#isTrusted(connection)) return connection;
      if (performance.now() > connection.endMs) void connection.close();
      else if (await connection.answers()) return connection;
    }
  }

  #isTrusted({ heardMs, endMs }: PooledConnection): boolean {
    const nowMs = performance.now();
    return nowMs - heardMs < this.#limits.trustMs && nowMs <= endMs;
  }

  async #makeNew(): Promise<PooledConnection> {
    // Not all at once: they were opened at once, when the load came.
    const lifetimeMs = this.#limits.lifetimeMs * (0.9 + 0.2 * Math.random());
    const connection = new PooledConnection(this.#open, lifetimeMs, this.#limits, {
      closed: () => this.#forget(connection),
      silent: (sentMs, what) => this.#giveUp(connection, sentMs, what),
      // Whoever has a connection to that server finishes with it; the next one gets another.
      readOnly: () => this.#all.forEach((one) => (one.endMs = 0)),
    });
    this.#all.add(connection);
    await connection.opened();
    return connection;
  }

  #release(connection: PooledConnection): void {
    connection.isTaken = false;
    connection.usedMs = performance.now();
    if (this.#isClosed || connection.usedMs > connection.endMs) void connection.close();
    if (!connection.isClosed) this.#idle.push(connection);
    this.#slots.release();
  }

  #forget(connection: PooledConnection): void {
    this.#all.delete(connection);
    const index = this.#idle.indexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
  }

  /**
   * Gives up a connection that has not answered what was sent at `sentMs`, and those that have said
   * nothing since then. A mere check condemns none that is in use: a statement may take its time.
   */
  #giveUp(connection: PooledConnection, sentMs: number, what: "statement" | "check"): void {
    if (connection.isClosed) return; // with another one
    const isSilent = (one: PooledConnection) =>
      one.isOpened && one.heardMs < sentMs && (what === "statement" || !one.isTaken);
    const givenUp = new Set([connection, ...[...this.#all].filter(isSilent)]);
    for (const one of givenUp) void one.close();
    logger.warn("PostgreSQL is silent: connections are given up", { connections: givenUp.size });
  }
}
