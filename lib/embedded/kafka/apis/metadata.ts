// Metadata: the broker's address and the topics' partitions; may create a topic that is asked for.
import { BROKER_ID, responseTo, type Api, type BrokerState } from "../api.ts";
import { ErrorCode, RefusedError } from "../errors.ts";
import { checkTopicName } from "../topics.ts";

interface TopicMetadata {
  readonly error: ErrorCode;
  readonly name: string;
  readonly partitionCount: number;
}

/** Metadata, versions 0 to 6. */
export const metadataApi: Api = {
  key: 3,
  versionMin: 0,
  versionMax: 6,
  handle(request, state) {
    const { version, body } = request;
    const listed = body.nullableArray((reader) => reader.string());
    // Each once, as with Kafka: a name is short, its partitions are many.
    const names = listed && [...new Set(listed)];
    const mayCreate = version >= 4 ? body.boolean() : true;
    // "All topics" is null; version 0 had no null and used the empty list.
    const wantsAll = names === null || (version === 0 && names.length === 0);
    const topics = wantsAll
      ? state.topics.names().map((name) => describe(name, false, state))
      : names.map((name) => describe(name, mayCreate, state));

    const response = responseTo(request);
    if (version >= 3) response.int32(0); // throttle time
    response.array([BROKER_ID], (out, id) => {
      out.int32(id).string(request.connection.brokerHost).int32(request.connection.brokerPort);
      if (version >= 1) out.nullableString(null); // rack
    });
    if (version >= 2) response.string(state.clusterId);
    if (version >= 1) response.int32(BROKER_ID); // the controller
    return response.array(topics, (out, topic) => {
      out.int16(topic.error).string(topic.name);
      if (version >= 1) out.boolean(false); // internal
      out.array([...Array(topic.partitionCount).keys()], (out, partition) => {
        out.int16(ErrorCode.NONE).int32(partition).int32(BROKER_ID);
        out.array([BROKER_ID], (out, id) => out.int32(id)); // replicas
        out.array([BROKER_ID], (out, id) => out.int32(id)); // those in sync
        if (version >= 5) out.array([], () => {}); // those offline
      });
    });
  },
};

function describe(name: string, mayCreate: boolean, state: BrokerState): TopicMetadata {
  const known = state.topics.get(name);
  if (known) return { error: ErrorCode.NONE, name, partitionCount: known.length };
  try {
    checkTopicName(name);
    if (!mayCreate) return { error: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, name, partitionCount: 0 };
    return { error: ErrorCode.NONE, name, partitionCount: state.topics.create(name).length };
  } catch (error) {
    if (error instanceof RefusedError) return { error: error.code, name, partitionCount: 0 };
    throw error;
  }
}
