// The outbox's relay: hands to Kafka what transactions have written down for it, and forgets it then.
import type { SQL } from "bun";
import type { Producer } from "kafkajs";
import { describe } from "./errors.ts";
import { sendRecords, type TraceHeaders } from "./kafka.ts";
import { log } from "./logs.ts";

const TOPIC = "order.created";
const BATCH_RECORDS_MAX = 100;
const PAUSE_MS = 100;

interface OutboxRow {
  id: string;
  key: string;
  value: string;
  headers: TraceHeaders;
}

/** Goes on until the process ends. A crash between Kafka's answer and DELETE sends a record again. */
export async function relay(sql: SQL, producer: Producer): Promise<never> {
  for (;;) {
    const count = await relayBatch(sql, producer).catch((error: unknown) => {
      log("error", "events wait in the outbox", { error: describe(error).text });
      return 0;
    });
    if (count === 0) await Bun.sleep(PAUSE_MS);
  }
}

// #region batch
/** `sql`, not `query`: it looks ten times a second, and each look would be a trace of its own. */
async function relayBatch(sql: SQL, producer: Producer): Promise<number> {
  return await sql.begin(async (tx) => {
    const rows: OutboxRow[] = await tx`
      SELECT id, key, value, headers FROM outbox
      ORDER BY id LIMIT ${BATCH_RECORDS_MAX} FOR UPDATE SKIP LOCKED`;
    if (rows.length === 0) return 0;
    await sendRecords(TOPIC, rows, () => producer.send({ topic: TOPIC, messages: rows }));
    await tx`DELETE FROM outbox WHERE id IN ${tx(rows.map(({ id }) => id))}`;
    return rows.length;
  });
}
// #endregion batch
