// Produce: appends record batches to partitions.
import { responseTo, type Api, type BrokerState } from "../api.ts";
import { ErrorCode, MalformedRequestError, RefusedError } from "../errors.ts";
import { parseRecordBatch } from "../record-batch.ts";

interface Appended {
  readonly partition: number;
  readonly error: ErrorCode;
  readonly baseOffset: number;
  readonly logStartOffset: number;
}

/** Produce, versions 3 (the first with record batches v2) to 7. */
export const produceApi: Api = {
  key: 0,
  versionMin: 3,
  versionMax: 7,
  handle(request, state) {
    const { version, body } = request;
    const transactionalId = body.nullableString();
    const acks = body.int16();
    body.int32(); // timeout: there is no other replica to wait for
    const requestError = errorOfRequest(transactionalId, acks);
    const topics = body.array((reader) => {
      const name = reader.string();
      const partitions = reader.array((reader) => {
        const partition = reader.int32();
        const records = reader.nullableBytes();
        if (requestError !== ErrorCode.NONE) return refused(partition, requestError);
        return append(name, partition, records, state);
      });
      return { name, partitions };
    });
    if (acks === 0) {
      // This client reads no answer; a closed connection is how it learns that something is wrong.
      const failed = topics.some(({ partitions }) => partitions.some(({ error }) => error !== 0));
      if (failed) throw new MalformedRequestError("a produce request without acks was refused");
      return null;
    }

    const response = responseTo(request);
    response.array(topics, (out, { name, partitions }) => {
      out.string(name).array(partitions, (out, appended) => {
        out.int32(appended.partition).int16(appended.error).int64(appended.baseOffset);
        out.int64(-1); // log append time: records keep their producer's time
        if (version >= 5) out.int64(appended.logStartOffset);
      });
    });
    return response.int32(0); // throttle time
  },
};

function errorOfRequest(transactionalId: string | null, acks: number): ErrorCode {
  if (transactionalId !== null) return ErrorCode.INVALID_REQUEST; // no transactions here
  return acks >= -1 && acks <= 1 ? ErrorCode.NONE : ErrorCode.INVALID_REQUIRED_ACKS;
}

function append(
  topic: string,
  partition: number,
  records: Buffer | null,
  state: BrokerState,
): Appended {
  const log = state.topics.partition(topic, partition);
  if (!log) return refused(partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  try {
    const baseOffset = state.topics.append(log, parseRecordBatch(records ?? Buffer.alloc(0)));
    return { partition, error: ErrorCode.NONE, baseOffset, logStartOffset: log.startOffset };
  } catch (error) {
    if (error instanceof RefusedError) return refused(partition, error.code);
    throw error;
  }
}

function refused(partition: number, error: ErrorCode): Appended {
  return { partition, error, baseOffset: -1, logStartOffset: -1 };
}
