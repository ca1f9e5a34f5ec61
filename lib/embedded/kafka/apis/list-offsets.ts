// ListOffsets: where a partition starts, where it ends, and which record came first after a time.
import { responseTo, type Api, type BrokerState } from "../api.ts";
import { ErrorCode } from "../errors.ts";

const LATEST = -1;
const EARLIEST = -2;

interface FoundOffset {
  readonly partition: number;
  readonly error: ErrorCode;
  readonly timestampMs: number;
  readonly offset: number;
}

/** ListOffsets, versions 1 to 3. */
export const listOffsetsApi: Api = {
  key: 2,
  versionMin: 1,
  versionMax: 3,
  handle(request, state) {
    const { version, body } = request;
    body.int32(); // replica id: only clients ask here
    if (version >= 2) body.int8(); // isolation level: without transactions all is committed
    const topics = body.array((reader) => {
      const name = reader.string();
      const partitions = reader.array((reader) =>
        find(name, reader.int32(), reader.int64(), state),
      );
      return { name, partitions };
    });

    const response = responseTo(request);
    if (version >= 2) response.int32(0); // throttle time
    return response.array(topics, (out, { name, partitions }) => {
      out.string(name).array(partitions, (out, { partition, error, timestampMs, offset }) => {
        out.int32(partition).int16(error).int64(timestampMs).int64(offset);
      });
    });
  },
};

function find(
  topic: string,
  partition: number,
  timestampMs: number,
  state: BrokerState,
): FoundOffset {
  const nothing = { partition, error: ErrorCode.NONE, timestampMs: -1, offset: -1 };
  const log = state.topics.partition(topic, partition);
  if (!log) return { ...nothing, error: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION };
  if (timestampMs === LATEST) return { ...nothing, offset: log.endOffset };
  if (timestampMs === EARLIEST) return { ...nothing, offset: log.startOffset };
  return { ...nothing, ...log.findByTimestamp(timestampMs) };
}
