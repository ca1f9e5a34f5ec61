// Fetch: reads record batches, and waits for them where there are not enough yet (long poll).
import { responseTo, type Api, type BrokerState } from "../api.ts";
import { ErrorCode, RefusedError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { PartitionLog } from "../log.ts";
import type { Reader } from "../reader.ts";

interface FetchPartition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly bytesMax: number;
}

interface FetchedPartition {
  readonly partition: number;
  readonly error: ErrorCode;
  /** Absent where the read was refused: the response then tells no offsets. */
  readonly log: PartitionLog | undefined;
  readonly batches: readonly Buffer[];
}

/** Fetch, versions 4 (the first with record batches v2) to 11. */
export const fetchApi: Api = {
  key: 1,
  versionMin: 4,
  versionMax: 11,
  async handle(request, state) {
    const { version, body } = request;
    body.int32(); // replica id: only clients ask here
    const waitMsMax = Math.min(body.int32(), limits.fetchWaitMsMax);
    const bytesMin = body.int32();
    const bytesMax = Math.min(body.int32(), limits.fetchBytesMax);
    body.int8(); // isolation level: without transactions every record is committed
    const sessionId = version >= 7 ? body.int32() : 0;
    if (version >= 7) body.int32(); // session epoch
    const topics = body.array((reader) => readTopic(reader, version));

    // Sessions save a large cluster repeated lists of partitions. A broker may decline to start one
    // (by answering with session 0), so a client can only name one that another broker gave it.
    const hasUnknownSession = sessionId !== 0;
    const wanted = topics.flatMap((topic) => topic.partitions);
    if (!hasUnknownSession && waitMsMax > 0) {
      const logs = wanted.flatMap((one) => state.topics.partition(one.topic, one.partition) ?? []);
      const isReady = () => hasEnough(wanted, bytesMin, state);
      await waitUntil(isReady, logs, waitMsMax, request.connection.closed);
    }

    const budget = { bytesLeft: bytesMax, isEmpty: true };
    const answered = hasUnknownSession ? [] : topics;
    const fetched = answered.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map((one) => read(one, budget, state)),
    }));
    const response = responseTo(request, 1_024 + bytesMax - budget.bytesLeft);
    response.int32(0); // throttle time
    if (version >= 7) {
      response.int16(hasUnknownSession ? ErrorCode.FETCH_SESSION_ID_NOT_FOUND : ErrorCode.NONE);
      response.int32(0); // no session
    }
    return response.array(fetched, (out, { name, partitions }) => {
      out.string(name).array(partitions, (out, { partition, error, log, batches }) => {
        out.int32(partition).int16(error);
        out.int64(log?.endOffset ?? -1).int64(log?.endOffset ?? -1); // high watermark, last stable
        if (version >= 5) out.int64(log?.startOffset ?? -1);
        out.array([], () => {}); // aborted transactions
        if (version >= 11) out.int32(-1); // preferred read replica
        out.int32(batches.reduce((sum, batch) => sum + batch.length, 0));
        for (const batch of batches) out.raw(batch);
      });
    });
  },
};

function readTopic(reader: Reader, version: number) {
  const name = reader.string();
  const partitions = reader.array((reader): FetchPartition => {
    const partition = reader.int32();
    if (version >= 9) reader.int32(); // leader epoch: the leader never changes
    const offset = reader.int64();
    if (version >= 5) reader.int64(); // the follower's log start offset
    const bytesMax = reader.int32();
    return { topic: name, partition, offset, bytesMax };
  });
  return { name, partitions };
}

/** Whether there is something to answer: enough bytes, or an error that should not wait. */
function hasEnough(
  wanted: readonly FetchPartition[],
  bytesMin: number,
  state: BrokerState,
): boolean {
  if (wanted.length === 0) return true;
  let bytes = 0;
  for (const { topic, partition, offset } of wanted) {
    const log = state.topics.partition(topic, partition);
    if (!log || offset < log.startOffset || offset > log.endOffset) return true;
    bytes += log.bytesFrom(offset);
    if (bytes >= bytesMin) return true;
  }
  return false;
}

/** Waits until something is true that appends can make true, the time is over or the client is gone. */
function waitUntil(
  isReady: () => boolean,
  logs: readonly PartitionLog[],
  timeoutMs: number,
  closed: AbortSignal,
): Promise<void> | undefined {
  if (isReady()) return undefined;
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      closed.removeEventListener("abort", finish);
      for (const unsubscribe of subscriptions) unsubscribe();
      resolve();
    };
    const timer = setTimeout(finish, timeoutMs);
    closed.addEventListener("abort", finish);
    const finishIfReady = () => {
      if (isReady()) finish();
    };
    const subscriptions = logs.map((log) => log.subscribe(finishIfReady));
  });
}

function read(
  wanted: FetchPartition,
  budget: { bytesLeft: number; isEmpty: boolean },
  state: BrokerState,
): FetchedPartition {
  const { topic, partition, offset } = wanted;
  const log = state.topics.partition(topic, partition);
  if (!log) return refused(partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  try {
    const bytesMax = Math.min(wanted.bytesMax, budget.bytesLeft);
    const batches = log.read(offset, bytesMax, budget.isEmpty);
    for (const batch of batches) budget.bytesLeft -= batch.length;
    if (batches.length > 0) budget.isEmpty = false;
    return { partition, error: ErrorCode.NONE, log, batches };
  } catch (error) {
    if (error instanceof RefusedError) return refused(partition, error.code);
    throw error;
  }
}

function refused(partition: number, error: ErrorCode): FetchedPartition {
  return { partition, error, log: undefined, batches: [] };
}
