// Requests of every API and version the broker advertises, and anything that only looks like one.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import type { BrokerState, ClientConnection } from "./api.ts";
import { apis, handleRequest } from "./dispatch.ts";
import { ErrorCode, MalformedRequestError } from "./errors.ts";
import { GroupCoordinator } from "./groups.ts";
import { limits } from "./limits.ts";
import { Reader } from "./reader.ts";
import { buildRecordBatch } from "./testing/record-batches.ts";
import {
  buildRequest,
  fetchBody,
  produceBody,
  sampleBodies,
  type BodyWriter,
} from "./testing/requests.ts";
import { TopicStore } from "./topics.ts";

const connection: ClientConnection = {
  clientAddress: "127.0.0.1",
  brokerHost: "127.0.0.1",
  brokerPort: 9092,
  closed: new AbortController().signal,
};

let state = newState();

beforeEach(() => {
  state = newState();
  state.topics.create("events", 2);
});

afterEach(() => state.groups.close());

describe("every API", () => {
  const versions = apis.flatMap(({ key, versionMin, versionMax }) =>
    Array.from({ length: versionMax - versionMin + 1 }, (_, index): [number, number] => [
      key,
      versionMin + index,
    ]),
  );

  test.each(versions)("%d answers version %d", async (key, version) => {
    const response = await send(buildRequest(key, version, sampleBodies[key], 77));
    expect(response?.int32()).toBe(77);
  });

  test.each(apis.filter(({ key }) => key !== 18).map(({ key, versionMax }) => [key, versionMax]))(
    "%d refuses the version after %d",
    async (key, versionMax) => {
      const frame = buildRequest(key, versionMax + 1, sampleBodies[key]);
      await expect(send(frame)).rejects.toThrow(MalformedRequestError);
    },
  );

  test("refuses a key nobody knows", async () => {
    await expect(send(buildRequest(999, 0))).rejects.toThrow("unknown API key 999");
  });
});

describe("ApiVersions", () => {
  const expected = apis.map(({ key, versionMin, versionMax }) => [key, versionMin, versionMax]);
  test("tells exactly what is implemented, in the flexible format, too", async () => {
    const plain = await send(buildRequest(18, 0));
    plain?.int32(); // correlation id
    expect(plain?.int16()).toBe(ErrorCode.NONE);
    expect(plain?.array(readRange)).toEqual(expected);

    const flexible = await send(buildRequest(18, 3, sampleBodies[18]));
    flexible?.int32(); // correlation id
    expect(flexible?.int16()).toBe(ErrorCode.NONE);
    expect(flexible?.unsignedVarint()).toBe(expected.length + 1);
    for (const range of expected) {
      if (flexible) expect(readRange(flexible)).toEqual(range);
      flexible?.skipTaggedFields();
    }
    expect(flexible?.int32()).toBe(0); // throttle time
    flexible?.skipTaggedFields();
    expect(() => flexible?.int8()).toThrow(MalformedRequestError); // nothing is left
  });

  test("of a version to come is answered in version 0, so that the client can step down", async () => {
    const response = await send(buildRequest(18, 9, (out) => out.raw(Buffer.from("anything")), 5));
    expect(response?.int32()).toBe(5);
    expect(response?.int16()).toBe(ErrorCode.UNSUPPORTED_VERSION);
    expect(response?.array(readRange)).toEqual(expected);
  });
});

describe("Metadata", () => {
  test("creates a topic only where the request allows it", async () => {
    await send(buildRequest(3, 4, askMetadata(["new"], false)));
    expect(state.topics.names()).toEqual(["events"]);
    await send(buildRequest(3, 4, askMetadata(["new"], true)));
    expect(state.topics.get("new")).toHaveLength(3);
  });

  test("tells a name that no topic can have from one that no topic has", async () => {
    const response = await send(buildRequest(3, 4, askMetadata(["a b", "absent"], false)));
    expect(response && readTopics(response)).toEqual([
      [ErrorCode.INVALID_TOPIC_EXCEPTION, "a b"],
      [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "absent"],
    ]);
  });

  test("lists every topic for null and none for the empty list", async () => {
    const all = await send(buildRequest(3, 4, askMetadata(null, true)));
    const none = await send(buildRequest(3, 4, askMetadata([], true)));
    expect(all && readTopics(all)).toEqual([[ErrorCode.NONE, "events"]]);
    expect(none && readTopics(none)).toEqual([]);
  });

  test("tells of a topic once, however often its name is asked for", async () => {
    state.topics.create("wide", 9_000);
    const often = Array<string>(limits.arrayItemsMax).fill("wide");
    const response = await send(
      buildRequest(3, 4, askMetadata([...often, "events"].slice(1), false)),
    );
    expect(response && readTopics(response)).toEqual([
      [ErrorCode.NONE, "wide"],
      [ErrorCode.NONE, "events"],
    ]);
  });
});

describe("a small request for a large response", () => {
  test("DescribeGroups tells of a group once, however often its id is asked for", async () => {
    const often = Array<string>(limits.arrayItemsMax).fill("readers");
    const response = await send(
      buildRequest(15, 0, (out) => out.array(often, (out, groupId) => out.string(groupId))),
    );
    response?.int32(); // correlation id
    expect(response?.int32()).toBe(1);
  });

  test("is given up at a bound, as a request that cannot be answered", async () => {
    await send(buildRequest(8, 5, commitBody("events", "x".repeat(4_096))));
    const often = Array<number>(limits.arrayItemsMax).fill(0);
    const askOffsets: BodyWriter = (out) => {
      out.string("readers").array(["events"], (out, topic) => {
        out.string(topic).array(often, (out, partition) => out.int32(partition));
      });
    };
    const asked = send(buildRequest(9, 4, askOffsets));
    await expect(asked).rejects.toThrow(MalformedRequestError);
    await expect(asked).rejects.toThrow(`more than ${limits.responseBytesMax} bytes`);
  });
});

describe("Produce", () => {
  test("without acks answers nothing, and ends the connection on a failure", async () => {
    const batch = buildRecordBatch();
    expect(await send(buildRequest(0, 7, produceBody("events", 0, batch, 0)))).toBeNull();
    expect(state.topics.partition("events", 0)?.endOffset).toBe(1);
    const failing = send(buildRequest(0, 7, produceBody("events", 9, batch, 0)));
    await expect(failing).rejects.toThrow(MalformedRequestError);
  });

  test("answers a damaged batch with CORRUPT_MESSAGE and stores nothing", async () => {
    const batch = buildRecordBatch();
    batch.writeUInt32BE(0xdeadbeef, 17);
    const response = await send(buildRequest(0, 7, produceBody("events", 1, batch)));
    expect(response && readProduceError(response)).toBe(ErrorCode.CORRUPT_MESSAGE);
    expect(state.topics.partition("events", 1)?.endOffset).toBe(0);
  });

  test("refuses acks that do not exist, unknown partitions and transactions", async () => {
    const batch = buildRecordBatch();
    const acks = produceBody("events", 0, batch, 2);
    expect(await produceError(acks)).toBe(ErrorCode.INVALID_REQUIRED_ACKS);
    const unknown = produceBody("events", 2, batch);
    expect(await produceError(unknown)).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
    const transactional: BodyWriter = (out) => {
      out
        .nullableString("tx")
        .int16(-1)
        .int32(1_000)
        .array(["events"], (out, name) => {
          out.string(name).array([0], (out, index) => out.int32(index).bytes(batch));
        });
    };
    expect(await produceError(transactional)).toBe(ErrorCode.INVALID_REQUEST);
  });
});

describe("Fetch", () => {
  test("waits for records and answers as soon as they are there", async () => {
    const answer = send(buildRequest(1, 11, fetchBody("events", 0, 0, { waitMsMax: 60_000 })));
    await send(buildRequest(0, 7, produceBody("events", 0, buildRecordBatch())));
    const response = await answer;
    expect(response && readFetched(response)).toMatchObject({ error: ErrorCode.NONE, end: 1 });
  });

  test("waits until there are as many bytes as asked for", async () => {
    const batch = buildRecordBatch();
    const options = { waitMsMax: 60_000, bytesMin: 2 * batch.length };
    const answer = send(buildRequest(1, 11, fetchBody("events", 0, 0, options)));
    await send(buildRequest(0, 7, produceBody("events", 0, batch)));
    await send(buildRequest(0, 7, produceBody("events", 0, batch)));
    const response = await answer;
    expect(response && readFetched(response).bytes).toBe(2 * batch.length);
  });

  test("answers with what is there when the time is over", async () => {
    const response = await send(
      buildRequest(1, 11, fetchBody("events", 0, 0, { waitMsMax: 20, bytesMin: 1 })),
    );
    expect(response && readFetched(response)).toMatchObject({ error: ErrorCode.NONE, bytes: 0 });
  });

  test("stops waiting when its client is gone, and when the topic is deleted", async () => {
    const wait = fetchBody("events", 0, 0, { waitMsMax: 60_000 });
    const closing = new AbortController();
    const frame = buildRequest(1, 11, wait).subarray(4);
    const orphaned = handleRequest(frame, { ...connection, closed: closing.signal }, state);
    closing.abort();
    expect(await orphaned).not.toBeNull();

    const waiting = send(buildRequest(1, 11, wait));
    await send(
      buildRequest(20, 3, (out) => {
        out.array(["events"], (out, name) => out.string(name)).int32(1_000);
      }),
    );
    const response = await waiting;
    const { error } = response ? readFetched(response) : { error: null };
    expect(error).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  });

  test("outside of the log is answered at once, however long it would wait", async () => {
    const response = await send(
      buildRequest(1, 11, fetchBody("events", 0, 5, { waitMsMax: 60_000 })),
    );
    const { error } = response ? readFetched(response) : { error: null };
    expect(error).toBe(ErrorCode.OFFSET_OUT_OF_RANGE);
  });

  test("in a session this broker never gave is refused", async () => {
    const response = await send(
      buildRequest(1, 11, fetchBody("events", 0, 0, { sessionId: 42, waitMsMax: 60_000 })),
    );
    response?.int32(); // correlation id
    response?.int32(); // throttle time
    expect(response?.int16()).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND);
  });
});

describe("JoinGroup", () => {
  const cases: [string, BodyWriter, ErrorCode][] = [
    ["the empty group id", joinBody("", 10_000), ErrorCode.INVALID_GROUP_ID],
    ["a session timeout of 0", joinBody("g", 0), ErrorCode.INVALID_SESSION_TIMEOUT],
    ["a session timeout of 24 days", joinBody("g", 2 ** 31 - 1), ErrorCode.INVALID_SESSION_TIMEOUT],
    [
      "more metadata than a group keeps",
      joinBody("g", 10_000, limits.memberBytesMax + 1),
      ErrorCode.INVALID_REQUEST,
    ],
  ];
  test.each(cases)("refuses %s", async (_name, write, error) => {
    const response = await send(buildRequest(11, 1, write));
    response?.int32(); // correlation id
    expect(response?.int16()).toBe(error);
    expect(state.groups.list()).toEqual([]);
  });
});

describe("OffsetCommit", () => {
  const cases: [string, BodyWriter, ErrorCode][] = [
    ["unknown topic", commitBody("nowhere", ""), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    ["long metadata", commitBody("events", "x".repeat(4_097)), ErrorCode.OFFSET_METADATA_TOO_LARGE],
  ];
  test.each(cases)("refuses an %s and leaves no group behind", async (_name, write, error) => {
    const response = await send(buildRequest(8, 5, write));
    response?.int32(); // correlation id
    response?.int32(); // throttle time
    const errors = response?.array((reader) => {
      reader.string();
      return reader.array((reader) => [reader.int32(), reader.int16()]);
    });
    expect(errors).toEqual([[[0, error]]]);
    expect(state.groups.list()).toEqual([]);
  });
});

describe("any bytes", () => {
  // Fixed, so that a failure shows again; fast-check prints it with the counterexample.
  const settings = { seed: 20_261_123, numRuns: 3_000 };

  test("either get an answer or are refused as malformed: the broker itself never fails", () =>
    fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) =>
        answersOrRefuses(Buffer.from(bytes)),
      ),
      settings,
    ));

  test("behind a valid header do no harm either", () => {
    const requests = fc.tuple(
      fc.constantFrom(...apis),
      fc.nat({ max: 20 }),
      fc.uint8Array({ maxLength: 200 }),
    );
    return fc.assert(
      fc.asyncProperty(requests, ([api, versionIndex, body]) => {
        const version = api.versionMin + (versionIndex % (api.versionMax - api.versionMin + 1));
        return answersOrRefuses(buildRequest(api.key, version, (out) => out.raw(body)).subarray(4));
      }),
      settings,
    );
  });

  test("that are a valid request with some of them changed do no harm either", () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), {
      minLength: 1,
      maxLength: 4,
    });
    const requests = fc.tuple(fc.constantFrom(...apis), fc.nat({ max: 20 }), changes, fc.nat());
    return fc.assert(
      fc.asyncProperty(requests, ([api, versionIndex, changes, cut]) => {
        const version = api.versionMin + (versionIndex % (api.versionMax - api.versionMin + 1));
        const frame = Buffer.from(
          buildRequest(api.key, version, sampleBodies[api.key]).subarray(4),
        );
        // Behind the header, which other tests change.
        for (const [place, value] of changes) frame[8 + (place % (frame.length - 8))] = value;
        return answersOrRefuses(
          cut % 4 === 0 ? frame.subarray(0, 8 + (cut % frame.length)) : frame,
        );
      }),
      settings,
    );
  });
});

function readRange(reader: Reader): number[] {
  return [reader.int16(), reader.int16(), reader.int16()];
}

function askMetadata(topics: string[] | null, mayCreate: boolean): BodyWriter {
  return (out) => {
    if (topics) out.array(topics, (out, name) => out.string(name));
    else out.int32(-1);
    out.boolean(mayCreate);
  };
}

/** A JoinGroup body of version 1. */
function joinBody(groupId: string, sessionTimeoutMs: number, metadataBytes = 1): BodyWriter {
  return (out) => {
    out.string(groupId).int32(sessionTimeoutMs).int32(1_000).string("").string("consumer");
    const metadata = Buffer.alloc(metadataBytes);
    out.array(["range"], (out, name) => out.string(name).bytes(metadata));
  };
}

/** An OffsetCommit body of version 5. */
function commitBody(topic: string, metadata: string): BodyWriter {
  return (out) => {
    out.string("readers").int32(-1).string("");
    out.array([topic], (out, name) => {
      out.string(name).array([0], (out, partition) => {
        out.int32(partition).int64(7).nullableString(metadata);
      });
    });
  };
}

async function produceError(writeBody: BodyWriter): Promise<number | undefined> {
  const response = await send(buildRequest(0, 7, writeBody));
  if (!response) throw new Error("no response");
  return readProduceError(response);
}

/** Fails on every error but the one that says that the request is malformed. */
async function answersOrRefuses(frame: Buffer): Promise<void> {
  // A changed fetch may wait for long; its connection's end also ends that.
  const closing = new AbortController();
  const mortal = { ...connection, closed: closing.signal };
  const answer = handleRequest(frame, mortal, state).catch((error: unknown) => {
    if (!(error instanceof MalformedRequestError)) throw error;
  });
  closing.abort();
  // A join waits for the group's other members, whom nobody plays here.
  const isJoin = frame.length >= 2 && frame.readInt16BE(0) === 11;
  await (isJoin ? Promise.race([answer, new Promise(setImmediate)]) : answer);
}

function newState(): BrokerState {
  return {
    clusterId: "test",
    topics: new TopicStore({ partitionsDefault: 3, retentionBytesMax: 8 * 1024 * 1024 }),
    groups: new GroupCoordinator(),
    nextProducerId: 0,
  };
}

async function send(frame: Buffer): Promise<Reader | null> {
  const response = await handleRequest(frame.subarray(4), connection, state);
  if (!response) return null;
  expect(response.readInt32BE(0)).toBe(response.length - 4);
  return new Reader(response.subarray(4));
}

/** Error and name of every topic in a metadata response of version 4. */
function readTopics(response: Reader): [error: number, name: string][] {
  response.int32(); // correlation id
  response.int32(); // throttle time
  response.array((reader) => [
    reader.int32(),
    reader.string(),
    reader.int32(),
    reader.nullableString(),
  ]);
  response.string(); // cluster id
  response.int32(); // controller
  return response.array((reader) => {
    const error = reader.int16();
    const name = reader.string();
    reader.boolean(); // internal
    reader.array((reader) => {
      reader.int16();
      reader.int32();
      reader.int32();
      reader.array((reader) => reader.int32());
      reader.array((reader) => reader.int32());
    });
    return [error, name];
  });
}

function readProduceError(response: Reader): number | undefined {
  response.int32(); // correlation id
  const errors = response.array((reader) => {
    reader.string();
    return reader.array((reader) => {
      reader.int32();
      const error = reader.int16();
      reader.int64();
      reader.int64();
      reader.int64();
      return error;
    });
  });
  return errors[0]?.[0];
}

/** The one partition of a fetch response of version 11. */
function readFetched(response: Reader) {
  response.int32(); // correlation id
  response.int32(); // throttle time
  response.int16(); // error
  response.int32(); // session
  const topics = response.array((reader) => {
    reader.string();
    return reader.array((reader) => {
      reader.int32(); // partition
      const error = reader.int16();
      const end = reader.int64();
      reader.int64(); // last stable offset
      const start = reader.int64();
      reader.array((reader) => reader.int64());
      reader.int32(); // preferred read replica
      return { error, start, end, bytes: reader.bytes().length };
    });
  });
  const partition = topics[0]?.[0];
  if (!partition) throw new Error("the response has no partition");
  return partition;
}
