/**
 * One connection of the pool: each answer has a limit on our side, and a connection that passes it is
 * closed for good. It is never opened again by itself, so that a transaction cannot go on half-way
 * on another one.
 */
import { SQL } from "bun";

/** One connection of the driver's. */
export interface Session {
  /** Resolves when statements can be run, rejects where there is no connection to be had. */
  readonly opened: Promise<void>;
  unsafe(text: string, values: unknown[]): PromiseLike<unknown>;
  /** Closes the socket at once; what is under way is rejected, or never heard of. */
  close(): Promise<void>;
}

/** Begins to open a connection. @param onClosed called later, when it is closed, by whomever */
export type OpenSession = (onClosed: () => void) => Session;

/** Bounds of one connection, in milliseconds. */
export interface ConnectionLimits {
  readonly connectMs: number;
  /**
   * For a statement's whole answer: a little more than the server's `statement_timeout`. Of statements
   * that are sent one behind the other each has it from the answer before its own on.
   */
  readonly statementMs: number;
  /** For the answer to the question whether anybody is there. */
  readonly checkMs: number;
}

/** What a connection tells its pool. */
export interface ConnectionEvents {
  closed(): void;
  /** What was sent at `sentMs` has had no answer within its limit. */
  silent(sentMs: number, what: "statement" | "check"): void;
  /** The server takes no writes: it was demoted, or the address leads elsewhere by now. */
  readOnly(): void;
}

/** `error.type` on a span, of the driver's own kind, so that it is treated alike. */
type PoolErrorCode =
  | "ERR_POSTGRES_ACQUIRE_TIMEOUT"
  | "ERR_POSTGRES_CONNECTION_TIMEOUT"
  | "ERR_POSTGRES_ANSWER_TIMEOUT"
  | "ERR_POSTGRES_POOLER"
  | "ERR_POSTGRES_CONNECTION_CLOSED";

/** A limit of ours has passed, or the connection is no more. What became of a statement is not known. */
export class PoolError extends SQL.PostgresError {
  constructor(message: string, code: PoolErrorCode) {
    // The driver's types ask for all fields of a server's error message; there was none.
    super(message, { code } as ConstructorParameters<typeof SQL.PostgresError>[1]);
    this.name = "PoolError";
  }
}

const READ_ONLY_SQL_TRANSACTION = "25006";

/** See the head of this file. Times are on the clock of performance.now(). */
export class PooledConnection {
  /** When the server was last heard. */
  heardMs = performance.now();
  /** When it was last given back. */
  usedMs = performance.now();
  /** When it is to be replaced. */
  endMs: number;
  /** Whether it is in somebody's hands. */
  isTaken = false;
  isOpened = false;
  isClosed = false;
  readonly #session: Session;
  readonly #limits: ConnectionLimits;
  readonly #events: ConnectionEvents;

  /** Begins to open it. @param lifetimeMs after which the pool replaces it */
  constructor(
    open: OpenSession,
    lifetimeMs: number,
    limits: ConnectionLimits,
    events: ConnectionEvents,
  ) {
    this.endMs = performance.now() + lifetimeMs;
    this.#limits = limits;
    this.#events = events;
    this.#session = open(() => this.#noteClosed());
  }

  /** Waits until it can be used. @throws what the driver says; PoolError after `connectMs` */
  async opened(): Promise<void> {
    const { connectMs } = this.#limits;
    try {
      await within(connectMs, this.#session.opened, () => {
        const text = `PostgreSQL gave no connection within ${connectMs} ms`;
        return new PoolError(text, "ERR_POSTGRES_CONNECTION_TIMEOUT");
      });
    } catch (error) {
      void this.close();
      throw error;
    }
    this.isOpened = true;
    this.heardMs = performance.now();
  }

  /**
   * Runs a statement.
   * @throws what the driver or the server says; PoolError where it is closed, or after `statementMs`
   */
  run(text: string, values: unknown[]): Promise<unknown> {
    return this.#ask(text, values, this.#limits.statementMs, "statement");
  }

  /** Whether there still is a server at its other end; where not, it is closed. */
  async answers(): Promise<boolean> {
    try {
      await this.#ask("SELECT 1", [], this.#limits.checkMs, "check");
      return true;
    } catch {
      void this.close();
      return false;
    }
  }

  /** Closes it at once. Safe to call again. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.#noteClosed();
    await this.#session.close().catch(() => {});
  }

  async #ask(text: string, values: unknown[], limitMs: number, what: "statement" | "check") {
    if (this.isClosed) throw connectionClosed();
    const sentMs = performance.now();
    const sinceMs = () => Math.max(sentMs, this.heardMs);
    const onLate = () => {
      this.#events.silent(sinceMs(), what);
      const late = `PostgreSQL did not answer within ${limitMs} ms`;
      return new PoolError(late, "ERR_POSTGRES_ANSWER_TIMEOUT");
    };
    try {
      return await within(limitMs, this.#session.unsafe(text, values), onLate, sinceMs);
    } catch (error) {
      const { errno } = error as { errno?: unknown };
      if (errno === READ_ONLY_SQL_TRANSACTION) this.#events.readOnly();
      throw error;
    } finally {
      this.heardMs = performance.now();
    }
  }

  #noteClosed(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#events.closed();
  }
}

/** For what is asked of a connection, or of a pool, that is closed. */
export function connectionClosed(): PoolError {
  return new PoolError("the connection to PostgreSQL is closed", "ERR_POSTGRES_CONNECTION_CLOSED");
}

/**
 * Waits for work. Where it takes longer, `onLate` says what is thrown; the work goes on, unheard.
 * @param sinceMs from when on the time counts; it may move on meanwhile
 */
function within<T>(
  ms: number,
  work: PromiseLike<T>,
  onLate: () => Error,
  sinceMs?: () => number,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const expire = () => {
    const restMs = sinceMs ? sinceMs() + ms - performance.now() : 0;
    if (restMs > 0) timer = setTimeout(expire, Math.ceil(restMs));
    else reject(onLate());
  };
  let timer = setTimeout(expire, ms);
  const settle = (how: () => void) => {
    clearTimeout(timer);
    how();
  };
  work.then(
    (value) => settle(() => resolve(value)),
    (error: unknown) => settle(() => reject(error)),
  );
  return promise;
}
