// JoinGroup, SyncGroup, Heartbeat and LeaveGroup: how consumers share a topic's partitions.
import { responseTo, type Api, type BrokerState, type KafkaRequest } from "../api.ts";
import { ErrorCode, RefusedError } from "../errors.ts";
import { failedJoin, failedSync, type GroupProtocol, type JoinResult } from "../group.ts";
import { limits } from "../limits.ts";
import type { Reader } from "../reader.ts";

const CLIENT_ID_CHARACTERS_MAX = 255;

/** JoinGroup, versions 0 to 4: dynamic members only, as 5 brings static ones. */
export const joinGroupApi: Api = {
  key: 11,
  versionMin: 0,
  versionMax: 4,
  async handle(request, state) {
    const { version } = request;
    const joined = await join(request, state);

    const response = responseTo(request);
    if (version >= 2) response.int32(0); // throttle time
    response.int16(joined.error).int32(joined.generationId);
    response.string(joined.protocol).string(joined.leaderId).string(joined.memberId);
    return response.array(joined.members, (out, { memberId, metadata }) => {
      out.string(memberId).bytes(metadata);
    });
  },
};

/** SyncGroup, versions 0 to 2. */
export const syncGroupApi: Api = {
  key: 14,
  versionMin: 0,
  versionMax: 2,
  async handle(request, state) {
    const { version, body } = request;
    const groupId = body.string();
    const generationId = body.int32();
    const memberId = body.string();
    const assignments = new Map(
      body.array((reader) => [reader.string(), memberBytes(reader)] as const),
    );
    const isTooLarge = [...assignments.values()].includes(null);
    const group = state.groups.find(groupId);
    const known = group ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID;
    const refusal = isTooLarge ? ErrorCode.INVALID_REQUEST : known;
    const synced =
      group && refusal === ErrorCode.NONE
        ? await group.sync(memberId, generationId, withoutNull(assignments))
        : failedSync(refusal);

    const response = responseTo(request);
    if (version >= 1) response.int32(0); // throttle time
    return response.int16(synced.error).bytes(synced.assignment);
  },
};

/** Heartbeat, versions 0 to 2. */
export const heartbeatApi: Api = {
  key: 12,
  versionMin: 0,
  versionMax: 2,
  handle(request, state) {
    const { version, body } = request;
    const group = state.groups.find(body.string());
    const generationId = body.int32();
    const memberId = body.string();
    const error = group?.heartbeat(memberId, generationId) ?? ErrorCode.UNKNOWN_MEMBER_ID;

    const response = responseTo(request);
    if (version >= 1) response.int32(0); // throttle time
    return response.int16(error);
  },
};

/** LeaveGroup, versions 0 to 2. */
export const leaveGroupApi: Api = {
  key: 13,
  versionMin: 0,
  versionMax: 2,
  handle(request, state) {
    const { version, body } = request;
    const group = state.groups.find(body.string());
    const memberId = body.string();
    const error = group?.leave(memberId) ?? ErrorCode.UNKNOWN_MEMBER_ID;

    const response = responseTo(request);
    if (version >= 1) response.int32(0); // throttle time
    return response.int16(error);
  },
};

async function join(request: KafkaRequest, state: BrokerState): Promise<JoinResult> {
  const { version, body } = request;
  const groupId = body.string();
  const sessionTimeoutMs = body.int32();
  const rebalanceTimeoutMs = version >= 1 ? body.int32() : sessionTimeoutMs;
  const memberId = body.string();
  const protocolType = body.string();
  const protocols = body.array((reader) => ({
    name: reader.string(),
    metadata: memberBytes(reader),
  }));
  if (!protocols.every(hasMetadata)) return failedJoin(ErrorCode.INVALID_REQUEST, memberId);
  const { sessionTimeoutMsMin, sessionTimeoutMsMax } = limits;
  if (sessionTimeoutMs < sessionTimeoutMsMin || sessionTimeoutMs > sessionTimeoutMsMax) {
    return failedJoin(ErrorCode.INVALID_SESSION_TIMEOUT, memberId);
  }
  if (memberId !== "" && !state.groups.find(groupId)) {
    return failedJoin(ErrorCode.UNKNOWN_MEMBER_ID, memberId);
  }
  try {
    const joining = state.groups.findOrCreate(groupId).join({
      memberId,
      clientId: request.clientId.slice(0, CLIENT_ID_CHARACTERS_MAX),
      clientAddress: request.connection.clientAddress,
      sessionTimeoutMs,
      rebalanceTimeoutMs: Math.min(Math.max(0, rebalanceTimeoutMs), limits.rebalanceTimeoutMsMax),
      protocolType,
      protocols,
      memberIdRequired: version >= 4,
    });
    state.groups.discardIfUnused(groupId); // where the join was refused at once
    return await joining;
  } catch (error) {
    if (error instanceof RefusedError) return failedJoin(error.code, memberId);
    throw error;
  }
}

/** Copies bytes that stay in memory with the group; null where they are more than it keeps. */
function memberBytes(reader: Reader): Uint8Array | null {
  const bytes = reader.bytes();
  return bytes.length > limits.memberBytesMax ? null : Buffer.from(bytes);
}

function hasMetadata(protocol: {
  name: string;
  metadata: Uint8Array | null;
}): protocol is GroupProtocol {
  return protocol.metadata !== null;
}

function withoutNull(assignments: ReadonlyMap<string, Uint8Array | null>): Map<string, Uint8Array> {
  const present = new Map<string, Uint8Array>();
  for (const [memberId, bytes] of assignments) if (bytes) present.set(memberId, bytes);
  return present;
}
