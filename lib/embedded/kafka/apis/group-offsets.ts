// OffsetCommit and OffsetFetch: how far a group got.
import { responseTo, type Api, type BrokerState } from "../api.ts";
import { ErrorCode, RefusedError } from "../errors.ts";
import type { CommittedOffset } from "../groups.ts";
import { limits } from "../limits.ts";

/** OffsetCommit, versions 2 to 5. */
export const offsetCommitApi: Api = {
  key: 8,
  versionMin: 2,
  versionMax: 5,
  handle(request, state) {
    const { version, body } = request;
    const groupId = body.string();
    const generationId = body.int32();
    const memberId = body.string();
    if (version <= 4) body.int64(); // retention time: offsets stay as long as the broker
    const topics = body.array((reader) => ({
      name: reader.string(),
      partitions: reader.array((reader) => ({
        partition: reader.int32(),
        offset: reader.int64(),
        metadata: reader.nullableString() ?? "",
      })),
    }));
    const groupError = checkCommit(groupId, memberId, generationId, state);
    const committed = topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partition, ...position }) => {
        if (groupError !== ErrorCode.NONE) return { partition, error: groupError };
        return { partition, error: commit(groupId, name, partition, position, state) };
      }),
    }));
    state.groups.discardIfUnused(groupId); // where nothing was committed

    const response = responseTo(request);
    if (version >= 3) response.int32(0); // throttle time
    return response.array(committed, (out, { name, partitions }) => {
      out.string(name).array(partitions, (out, { partition, error }) => {
        out.int32(partition).int16(error);
      });
    });
  },
};

/** OffsetFetch, versions 1 to 4. */
export const offsetFetchApi: Api = {
  key: 9,
  versionMin: 1,
  versionMax: 4,
  handle(request, state) {
    const { version, body } = request;
    const groupId = body.string();
    const topics =
      body.nullableArray((reader) => ({
        topic: reader.string(),
        partitions: reader.array((reader) => reader.int32()),
      })) ?? state.groups.committedPartitions(groupId);

    const response = responseTo(request);
    if (version >= 3) response.int32(0); // throttle time
    response.array(topics, (out, { topic, partitions }) => {
      out.string(topic).array(partitions, (out, partition) => {
        const committed = state.groups.committedOffset(groupId, topic, partition);
        out.int32(partition).int64(committed?.offset ?? -1);
        out.nullableString(committed?.metadata ?? "").int16(ErrorCode.NONE);
      });
    });
    return version >= 2 ? response.int16(ErrorCode.NONE) : response;
  },
};

function checkCommit(
  groupId: string,
  memberId: string,
  generationId: number,
  state: BrokerState,
): ErrorCode {
  try {
    return state.groups.findOrCreate(groupId).checkCommit(memberId, generationId);
  } catch (error) {
    if (error instanceof RefusedError) return error.code;
    throw error;
  }
}

function commit(
  groupId: string,
  topic: string,
  partition: number,
  position: CommittedOffset,
  state: BrokerState,
): ErrorCode {
  if (!state.topics.partition(topic, partition)) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  if (Buffer.byteLength(position.metadata) > limits.offsetMetadataBytesMax) {
    return ErrorCode.OFFSET_METADATA_TOO_LARGE;
  }
  state.groups.commitOffset(groupId, topic, partition, position);
  return ErrorCode.NONE;
}
