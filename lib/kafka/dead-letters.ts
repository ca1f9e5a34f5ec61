// Dead letters: look at them, and send them back to the topic they came from.
import { Partitioners, type IHeaders, type Kafka, type KafkaMessage, type Message } from "kafkajs";
import { DEAD_LETTER_HEADERS, originalHeaders } from "./dead-letter-headers.ts";
import { PRODUCE_TIMEOUT_MS, withAdmin } from "./client.ts";
import { assertStored } from "./publisher.ts";
import { ReplayMarks } from "./replay-marks.ts";
import { readTopic, type OffsetRange } from "./topic-reader.ts";

/** A dead letter, for a person to look at. */
export interface DeadLetter {
  /** Where it lies in the dead-letter topic. */
  readonly partition: number;
  readonly offset: string;
  /** When it was written, RFC 3339. */
  readonly writtenAt: string;
  readonly key: string | null;
  readonly value: string | null;
  /** The `dlq-*` headers; undefined where the letter lacks one. */
  readonly error: string | undefined;
  readonly originalTopic: string | undefined;
  readonly originalPartition: string | undefined;
  readonly originalOffset: string | undefined;
  readonly attempts: string | undefined;
  readonly traceparent: string | undefined;
  /** Whether it was sent back already. */
  readonly isReplayed: boolean;
}

/** One letter's place in the dead-letter topic. */
export interface LetterPlace {
  readonly partition: number;
  readonly offset: string;
}

/** What a replay did. */
export interface ReplayResult {
  /** Sent back to their topic. */
  readonly replayed: readonly LetterPlace[];
  /** Asked for or met, but not sent, and why. */
  readonly skipped: readonly (LetterPlace & { readonly reason: string })[];
}

/** The consumer group whose offsets say what was replayed. */
const REPLAY_GROUP = "dead-letter-replay";

/**
 * Reads the latest dead letters, oldest first. Changes nothing.
 *
 * @param limit how many at most
 */
export async function listDeadLetters(
  kafka: Kafka,
  topic: string,
  limit: number,
): Promise<DeadLetter[]> {
  const { ends, marks } = await inspect(kafka, topic);
  const letters: DeadLetter[] = [];
  await readTopic({
    kafka,
    topic,
    groupId: `dead-letter-list-${crypto.randomUUID()}`, // commits nothing, so it leaves no trace
    ranges: ends.map(({ partition, from, to }) => ({
      partition,
      from: to - from > BigInt(limit) ? to - BigInt(limit) : from,
      to,
    })),
    onRecords: (partition, records) => {
      for (const record of records) {
        const isReplayed = marks.get(partition)?.has(BigInt(record.offset)) ?? false;
        letters.push(toDeadLetter(partition, record, isReplayed));
      }
      return Promise.resolve();
    },
  });
  return letters.sort((a, b) => a.writtenAt.localeCompare(b.writtenAt)).slice(-limit);
}

/**
 * Sends dead letters back to the topics they came from, as they were: key, value and their own headers,
 * so that they keep their trace. A letter is replayed once, however often this is called.
 *
 * A letter is marked after it was sent: a crash in between sends it again, which is harmless, because
 * settling an order twice changes nothing. The other order could lose it.
 *
 * @param selection `all`: those written until now; or the places of some
 */
export async function replayDeadLetters(
  kafka: Kafka,
  topic: string,
  selection: "all" | readonly LetterPlace[],
): Promise<ReplayResult> {
  const { ends, marks } = await inspect(kafka, topic);
  const replayed: LetterPlace[] = [];
  const skipped: (LetterPlace & { reason: string })[] = [];
  const producer = kafka.producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    allowAutoTopicCreation: false,
  });
  await producer.connect();
  try {
    await readTopic({
      kafka,
      topic,
      groupId: REPLAY_GROUP,
      ranges:
        selection === "all"
          ? ends.map(({ partition, from, to }) => ({
              partition,
              from: maxOf(from, marks.get(partition)?.position ?? 0n),
              to,
            }))
          : rangesOf(selection, ends, marks, skipped),
      onRecords: async (partition, records, commit) => {
        const marked = marks.get(partition) ?? new ReplayMarks("-1", null);
        const places = records
          .map((record) => ({ record, place: { partition, offset: record.offset } }))
          .filter(({ place }) => !marked.has(BigInt(place.offset)) && isSelected(selection, place));
        try {
          // Each by itself: a send across partitions can be fulfilled with some of its records nowhere.
          for (const { record, place } of places) {
            const original = originalOf(record);
            if (original === undefined) {
              skipped.push({ ...place, reason: `has no ${DEAD_LETTER_HEADERS.topic} header` });
              continue;
            }
            const { topic: target, message } = original;
            const sending = { topic: target, acks: -1, timeout: PRODUCE_TIMEOUT_MS };
            assertStored(await producer.send({ ...sending, messages: [message] }), target);
            marked.add(BigInt(place.offset));
            replayed.push(place);
          }
          const last = records.at(-1);
          if (selection === "all" && last !== undefined) {
            marked.addAllBefore(BigInt(last.offset) + 1n);
          }
        } finally {
          await commit({ partition, ...marked.toCommit() });
        }
      },
    });
  } finally {
    await producer.disconnect();
  }
  return { replayed, skipped };
}

/** What a dead letter was, and where; undefined where it does not say. */
function originalOf(letter: KafkaMessage): { topic: string; message: Message } | undefined {
  const topic = headerText(letter.headers, DEAD_LETTER_HEADERS.topic);
  if (topic === undefined) return undefined;
  const { key, value, headers = {} } = letter;
  return { topic, message: { key, value, headers: originalHeaders(headers) } };
}

/** Finds out what there is in each partition, and what of it was replayed. */
async function inspect(
  kafka: Kafka,
  topic: string,
): Promise<{ ends: OffsetRange[]; marks: Map<number, ReplayMarks> }> {
  return await withAdmin(kafka, async (admin) => {
    const offsets = await admin.fetchTopicOffsets(topic);
    const [committed] = await admin.fetchOffsets({ groupId: REPLAY_GROUP, topics: [topic] });
    return {
      ends: offsets.map(({ partition, low, high }) => ({
        partition,
        from: BigInt(low),
        to: BigInt(high),
      })),
      marks: new Map(
        committed?.partitions.map(({ partition, offset, metadata }) => [
          partition,
          new ReplayMarks(offset, metadata),
        ]),
      ),
    };
  });
}

/** The ranges that hold the letters asked for; notes those that cannot be replayed. */
function rangesOf(
  places: readonly LetterPlace[],
  ends: readonly OffsetRange[],
  marks: ReadonlyMap<number, ReplayMarks>,
  skipped: (LetterPlace & { reason: string })[],
): OffsetRange[] {
  const ranges = new Map<number, OffsetRange>();
  for (const place of places) {
    const { partition } = place;
    const offset = BigInt(place.offset);
    const end = ends.find((one) => one.partition === partition);
    if (end === undefined || offset < end.from || offset >= end.to) {
      skipped.push({ ...place, reason: "there is no such dead letter" });
      continue;
    }
    if (marks.get(partition)?.has(offset)) {
      skipped.push({ ...place, reason: "was replayed before" });
      continue;
    }
    const known = ranges.get(partition);
    ranges.set(partition, {
      partition,
      from: known !== undefined && known.from < offset ? known.from : offset,
      to: maxOf(known?.to ?? 0n, offset + 1n),
    });
  }
  return [...ranges.values()];
}

function isSelected(selection: "all" | readonly LetterPlace[], place: LetterPlace): boolean {
  return (
    selection === "all" ||
    selection.some(
      ({ partition, offset }) =>
        partition === place.partition && BigInt(offset) === BigInt(place.offset),
    )
  );
}

function toDeadLetter(partition: number, record: KafkaMessage, isReplayed: boolean): DeadLetter {
  const header = (name: string) => headerText(record.headers, name);
  return {
    partition,
    offset: record.offset,
    writtenAt: new Date(Number(record.timestamp)).toISOString(),
    key: record.key?.toString() ?? null,
    value: record.value?.toString() ?? null,
    error: header(DEAD_LETTER_HEADERS.error),
    originalTopic: header(DEAD_LETTER_HEADERS.topic),
    originalPartition: header(DEAD_LETTER_HEADERS.partition),
    originalOffset: header(DEAD_LETTER_HEADERS.offset),
    attempts: header(DEAD_LETTER_HEADERS.attempts),
    traceparent: header("traceparent"),
    isReplayed,
  };
}

/** A header's text; of a repeated one the last, as readers of a repeated setting expect. */
function headerText(headers: IHeaders | undefined, name: string): string | undefined {
  const value = headers?.[name];
  return (Array.isArray(value) ? value.at(-1) : value)?.toString();
}

function maxOf(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
