/**
 * The repair for orders whose event has got lost: pending, and nothing is on its way that would settle
 * them. Their event is put into the outbox again, and takes the usual way from there.
 *
 * It may be run at any time, twice at once too, beside running services: an event that is published
 * though another one of its order is on its way is settled twice, which changes nothing.
 */
import { withAdmin, type Kafka } from "#lib/kafka/client.ts";
import { listDeadLetters, type LetterPlace } from "#lib/kafka/dead-letters.ts";
import { readTopic, type OffsetRange } from "#lib/kafka/topic-reader.ts";
import {
  ORDER_CREATED_DEAD_LETTER_TOPIC,
  ORDER_CREATED_TOPIC,
  SETTLING_GROUP,
} from "#lib/orders/order-created.ts";
import type { OrderRepository, OverdueOrder } from "./repository.ts";

/** Where the event of an overdue order is, as far as can be seen. */
export type EventPlace =
  /** In the topic, and the consumer group has not got to it yet. */
  | { readonly kind: "behind the lag"; readonly partition: number; readonly offset: string }
  /** Given up by the worker: to replay it is the remedy. */
  | ({ readonly kind: "dead letter" } & LetterPlace)
  | { readonly kind: "nowhere" };

/** An overdue order that has no event in the outbox. */
export interface LocatedOrder extends OverdueOrder {
  readonly event: EventPlace;
}

export interface LocateOptions {
  orders: Pick<OrderRepository, "listOverdue">;
  kafka: Kafka;
  /** For how long an order has to be pending, and untouched by an earlier republishing. */
  olderThanSeconds: number;
}

/** Orders looked at in one run, oldest first; who has more runs it again. */
export const ORDERS_MAX = 100_000;
/** Of each partition, the latest. A letter beyond that is not seen, and its order's event is republished. */
const DEAD_LETTERS_MAX = 100_000;

/**
 * Finds the overdue orders that have no event in the outbox, and where their event is.
 *
 * The order of the three looks is what makes it right: an event that has left the outbox is in the topic;
 * one that is not behind the lag any more was settled, or is a dead letter by then.
 * @throws KafkaJSError, UnavailableError where Kafka or the database does not answer
 */
export async function locateOverdueOrders(options: LocateOptions): Promise<LocatedOrder[]> {
  const { orders, kafka, olderThanSeconds } = options;
  const overdue = await orders.listOverdue(olderThanSeconds, ORDERS_MAX);
  if (overdue.length === 0) return [];
  const ids = new Set(overdue.map(({ id }) => id));
  const places = new Map([
    ...(await eventsBehindTheLag(kafka, ids)),
    // Of an order that has both, this is the later news: it is told.
    ...(await deadLettersOf(kafka, ids)),
  ]);
  return overdue.map((order) => ({ ...order, event: places.get(order.id) ?? { kind: "nowhere" } }));
}

/**
 * Puts the events of orders into the outbox again, those that are nowhere.
 * @returns the ids of those that were put there: neither those that were settled meanwhile, nor those
 *   that another run was faster with
 */
export async function republishOrders(
  orders: Pick<OrderRepository, "republish">,
  located: readonly LocatedOrder[],
): Promise<string[]> {
  const republished: string[] = [];
  for (const order of located) {
    if (order.event.kind !== "nowhere") continue;
    if (await orders.republish(order)) republished.push(order.id);
  }
  return republished;
}

async function eventsBehindTheLag(
  kafka: Kafka,
  ids: ReadonlySet<string>,
): Promise<Map<string, EventPlace>> {
  const found = new Map<string, EventPlace>();
  const ranges = await lagOf(kafka);
  await readTopic({
    kafka,
    topic: ORDER_CREATED_TOPIC,
    groupId: `orders-republish-${crypto.randomUUID()}`, // commits nothing, so it leaves no trace
    ranges,
    onRecords: (partition, records) => {
      for (const { key, offset } of records) {
        const id = key?.toString().toLowerCase() ?? "";
        if (ids.has(id)) found.set(id, { kind: "behind the lag", partition, offset });
      }
      return Promise.resolve();
    },
  });
  return found;
}

/** What the group has not committed yet. Committed offsets first, ends after: nothing is between them. */
async function lagOf(kafka: Kafka): Promise<OffsetRange[]> {
  const topic = ORDER_CREATED_TOPIC;
  return await withAdmin(kafka, async (admin) => {
    if (!(await admin.listTopics()).includes(topic)) return [];
    const [committed] = await admin.fetchOffsets({ groupId: SETTLING_GROUP, topics: [topic] });
    const offsets = new Map(
      committed?.partitions.map(({ partition, offset }) => [partition, BigInt(offset)]),
    );
    return (await admin.fetchTopicOffsets(topic)).map(({ partition, low, high }) => {
      const [from, lowest] = [offsets.get(partition) ?? -1n, BigInt(low)];
      // -1: the group has committed nothing there, and will begin at the first record.
      return { partition, from: from > lowest ? from : lowest, to: BigInt(high) };
    });
  });
}

async function deadLettersOf(
  kafka: Kafka,
  ids: ReadonlySet<string>,
): Promise<Map<string, EventPlace>> {
  const topic = ORDER_CREATED_DEAD_LETTER_TOPIC;
  const topics = await withAdmin(kafka, (admin) => admin.listTopics());
  const found = new Map<string, EventPlace>();
  if (!topics.includes(topic)) return found;
  for (const letter of await listDeadLetters(kafka, topic, DEAD_LETTERS_MAX)) {
    const id = letter.key?.toLowerCase() ?? "";
    const { partition, offset } = letter;
    if (ids.has(id) && !letter.isReplayed)
      found.set(id, { kind: "dead letter", partition, offset });
  }
  return found;
}
