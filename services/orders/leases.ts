/** The events that a relay has in hand by a lease, and what is still to be told to PostgreSQL of them. */
import type { Queryable } from "#lib/telemetry/sql/sql.ts";
import { putOff, takeDue, type OutboxEvent } from "./outbox.ts";

export class Leases {
  readonly #db: Queryable;
  readonly #leaseMs: number;
  /** Events that Kafka has, to be deleted with the next statement. */
  readonly #stored: string[] = [];
  /** Events that are to be left alone, and until when, on the clock of performance.now(). */
  readonly #later: { id: string; dueMs: number }[] = [];

  constructor(db: Queryable, leaseMs: number) {
    this.#db = db;
    this.#leaseMs = leaseMs;
  }

  /** Deletes what is stored, and takes the next ones in hand. */
  async take(rowsMax: number): Promise<OutboxEvent[]> {
    const deleted = this.#stored.splice(0);
    try {
      return await takeDue(this.#db, deleted, rowsMax, this.#leaseMs);
    } catch (error) {
      this.#stored.push(...deleted);
      throw error;
    }
  }

  /** Kafka has them. */
  noteStored(events: readonly OutboxEvent[]): void {
    this.#stored.push(...events.map(({ id }) => id));
  }

  /** They cannot be published now. */
  noteLater(events: readonly OutboxEvent[], delayMs: number): void {
    const dueMs = performance.now() + delayMs;
    this.#later.push(...events.map(({ id }) => ({ id, dueMs })));
  }

  /** Puts off what cannot be published now. @param renewed what is still on its way: its lease begins anew */
  async putOff(renewed: readonly OutboxEvent[]): Promise<void> {
    const nowMs = performance.now();
    const put = this.#later.splice(0);
    if (put.length + renewed.length === 0) return;
    const waits = put.map(({ id, dueMs }) => ({ id, ms: Math.max(0, dueMs - nowMs) }));
    const renewals = renewed.map(({ id }) => ({ id, ms: this.#leaseMs }));
    try {
      await putOff(this.#db, [...waits, ...renewals]);
    } catch (error) {
      this.#later.push(...put);
      throw error;
    }
  }

  /**
   * For the end: what was put off may be taken by others at once, and what is stored is deleted.
   * @param renewed what may have been sent: others may take it a lease later
   */
  async giveBack(renewed: readonly OutboxEvent[]): Promise<void> {
    for (const one of this.#later) one.dueMs = 0;
    await this.putOff(renewed);
    if (this.#stored.length > 0) await this.take(0);
  }
}
