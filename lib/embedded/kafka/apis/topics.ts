// CreateTopics and DeleteTopics.
import { responseTo, type Api, type BrokerState } from "../api.ts";
import { ErrorCode, RefusedError } from "../errors.ts";
import type { Reader } from "../reader.ts";

interface NewTopic {
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly assignedPartitions: readonly number[];
}

interface TopicOutcome {
  readonly name: string;
  readonly error: ErrorCode;
  readonly reason: string | null;
}

/** CreateTopics, versions 0 to 4. Topic settings are read and have no effect. */
export const createTopicsApi: Api = {
  key: 19,
  versionMin: 0,
  versionMax: 4,
  handle(request, state) {
    const { version, body } = request;
    const topics = body.array(readNewTopic);
    body.int32(); // timeout: creation is immediate
    const validateOnly = version >= 1 ? body.boolean() : false;
    const outcomes = topics.map((topic) => createTopic(topic, validateOnly, state));

    const response = responseTo(request);
    if (version >= 2) response.int32(0); // throttle time
    return response.array(outcomes, (out, outcome) => {
      out.string(outcome.name).int16(outcome.error);
      if (version >= 1) out.nullableString(outcome.reason);
    });
  },
};

/** DeleteTopics, versions 0 to 3. Offsets that groups committed for the topics go with them. */
export const deleteTopicsApi: Api = {
  key: 20,
  versionMin: 0,
  versionMax: 3,
  handle(request, state) {
    const { version, body } = request;
    const names = body.array((reader) => reader.string());
    body.int32(); // timeout: deletion is immediate
    const outcomes = names.map((name) => {
      if (!state.topics.delete(name)) return { name, error: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION };
      state.groups.deleteTopic(name);
      return { name, error: ErrorCode.NONE };
    });

    const response = responseTo(request);
    if (version >= 1) response.int32(0); // throttle time
    return response.array(outcomes, (out, { name, error }) => out.string(name).int16(error));
  },
};

function readNewTopic(reader: Reader): NewTopic {
  const name = reader.string();
  const partitions = reader.int32();
  const replicationFactor = reader.int16();
  const assignedPartitions = reader.array((reader) => {
    const partition = reader.int32();
    reader.array((reader) => reader.int32()); // replicas: there is one broker to be on
    return partition;
  });
  reader.array((reader) => {
    reader.string(); // a setting's name
    reader.nullableString(); // and value
  });
  return { name, partitions, replicationFactor, assignedPartitions };
}

function createTopic(topic: NewTopic, validateOnly: boolean, state: BrokerState): TopicOutcome {
  const { name, replicationFactor, assignedPartitions } = topic;
  // Who assigns replicas by hand gives the number of partitions that way.
  const partitions = assignedPartitions.length > 0 ? assignedPartitions.length : topic.partitions;
  try {
    if (replicationFactor !== 1 && replicationFactor !== -1) {
      const reason = "there is one broker, so the replication factor can only be 1";
      throw new RefusedError(ErrorCode.INVALID_REPLICATION_FACTOR, reason);
    }
    if (validateOnly) state.topics.checkCreate(name, partitions);
    else state.topics.create(name, partitions);
    return { name, error: ErrorCode.NONE, reason: null };
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    return { name, error: error.code, reason: error.message };
  }
}
