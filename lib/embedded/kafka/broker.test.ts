// The broker on its socket: order, back-pressure, and clients that send what is no request.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { startKafkaBroker, type KafkaBroker } from "./broker.ts";
import { apis } from "./dispatch.ts";
import { limits } from "./limits.ts";
import { connectRaw, type RawClient } from "./testing/raw-client.ts";
import { buildRecordBatch } from "./testing/record-batches.ts";
import { buildRequest, fetchBody, produceBody, sampleBodies } from "./testing/requests.ts";

let broker: KafkaBroker;
let internalErrors: unknown[];
let clients: RawClient[];

beforeEach(async () => {
  internalErrors = [];
  clients = [];
  broker = await startKafkaBroker({ onInternalError: (error) => internalErrors.push(error) });
});

afterEach(async () => {
  for (const client of clients) client.close();
  await broker.stop();
  expect(internalErrors).toEqual([]);
});

test("answers one connection's requests in their order, also behind a fetch that waits", async () => {
  const consumer = await connectClient();
  await createEvents(consumer);
  consumer.send(buildRequest(1, 11, fetchBody("events", 0, 0, { waitMsMax: 60_000 }), 101));
  const producer = await connectClient();
  await createEvents(producer); // a round trip, so that the broker has taken up the fetch
  consumer.send(buildRequest(3, 6, sampleBodies[3], 102));
  consumer.send(buildRequest(18, 0, sampleBodies[18], 103));
  await createEvents(producer);

  producer.send(buildRequest(0, 7, produceBody("events", 0, buildRecordBatch()), 201));
  expect((await producer.receive()).int32()).toBe(201);

  expect((await consumer.receive()).int32()).toBe(101);
  expect((await consumer.receive()).int32()).toBe(102);
  expect((await consumer.receive()).int32()).toBe(103);
});

test("sends nothing back for a produce without acks", async () => {
  const client = await connectClient();
  await createEvents(client);
  client.send(buildRequest(0, 7, produceBody("events", 0, buildRecordBatch(), 0), 11));
  client.send(buildRequest(18, 0, sampleBodies[18], 12));
  expect((await client.receive()).int32()).toBe(12);
});

test("does no more for a client that does not read, and serves others meanwhile", async () => {
  const slow = await connectClient();
  await createEvents(slow);
  const batch = buildRecordBatch({ values: ["x".repeat(1_000_000)] });
  slow.send(buildRequest(0, 7, produceBody("events", 0, batch)));
  await slow.receive();

  slow.pause();
  const fetches = 100; // MB: far more than the network keeps
  for (let id = 0; id < fetches; id++) {
    slow.send(buildRequest(1, 11, fetchBody("events", 0, 0), id));
  }
  slow.send(buildRequest(0, 7, produceBody("events", 1, buildRecordBatch())));
  const other = await connectClient();
  // Enough round trips for a broker that goes on to have come to the last request.
  for (let trip = 0; trip < 500; trip++) await createEvents(other);
  expect(await produceOne(other, 1)).toBe(0);

  slow.resume();
  for (let id = 0; id < fetches; id++) expect((await slow.receive()).int32()).toBe(id);
  expect((await readProduced(slow)).baseOffset).toBe(1);
});

test("stops reading a client that sends far ahead, and answers all of it later", async () => {
  const client = await connectClient();
  await createEvents(client);
  client.send(buildRequest(1, 11, fetchBody("events", 0, 0, { waitMsMax: 60_000 }), 1_000));
  const batch = buildRecordBatch({ values: ["x".repeat(1_000_000)] });
  const produced = 60; // MB: far more than the broker and the network keep of one connection
  for (let id = 0; id < produced; id++) {
    client.send(buildRequest(0, 7, produceBody("events", 1, batch), id));
  }
  const other = await connectClient();
  // Enough round trips for a broker that reads on to have read everything.
  for (let trip = 0; trip < 500; trip++) await createEvents(other);
  expect(client.unsentBytes()).toBeGreaterThan(0);

  await produceOne(other); // ends the fetch
  expect((await client.receive()).int32()).toBe(1_000);
  for (let id = 0; id < produced; id++) expect((await client.receive()).int32()).toBe(id);
  expect(client.unsentBytes()).toBe(0);
});

test("takes requests in one byte at a time, and many in one piece", async () => {
  const client = await connectClient();
  const request = buildRequest(18, 3, sampleBodies[18], 5);
  for (const byte of request) client.send(Buffer.from([byte]));
  expect((await client.receive()).int32()).toBe(5);

  const many = Array.from({ length: 500 }, (_, id) => buildRequest(18, 3, sampleBodies[18], id));
  client.send(Buffer.concat(many));
  for (let id = 0; id < 500; id++) expect((await client.receive()).int32()).toBe(id);
});

test("tells each client to connect to the address it came by", async () => {
  const client = await connectClient();
  client.send(buildRequest(3, 0, sampleBodies[3]));
  const metadata = await client.receive();
  metadata.int32(); // correlation id
  const brokers = metadata.array((reader) => {
    reader.int32();
    return `${reader.string()}:${reader.int32()}`;
  });
  expect(brokers).toEqual([broker.brokers]);
});

describe("a connection is closed, and only that one, after", () => {
  const cases: [string, Buffer][] = [
    ["a frame of negative length", lengthOf(-1)],
    ["a frame of no bytes", lengthOf(0)],
    ["a frame above the size bound", lengthOf(limits.requestBytesMax + 1)],
    ["a frame too short for a header", Buffer.concat([lengthOf(3), Buffer.alloc(3)])],
    ["an unknown API key", buildRequest(999, 0)],
    ["a version that is not advertised", buildRequest(3, 99)],
    ["a string that ends too early", buildRequest(10, 0, (out) => out.int16(50).int8(0))],
    [
      "an array of 2 billion items",
      buildRequest(15, 0, (out) => out.int32(2_000_000_000).string("group")),
    ],
    ["an HTTP request", Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")],
  ];
  test.each(cases)("%s", async (_name, bytes) => {
    const healthy = await connectClient();
    const broken = await connectClient();
    broken.send(bytes);
    await broken.ended;
    await expectToProduce(healthy);
  });

  test("one connection more than the broker serves", async () => {
    const healthy = await connectClient();
    while (clients.length < limits.connectionsMax) await connectClient();
    await expectToProduce(healthy);
    const excess = await connectClient();
    await excess.ended;
    await expectToProduce(healthy);
  });
});

test("random bytes and changed requests never disturb another connection", async () => {
  const healthy = await connectClient();
  await createEvents(healthy);
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 6 });
  const anyBytes = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 300 }),
    fc.tuple(fc.constantFrom(...apis), changes).map(([api, changes]) => {
      const frame = Buffer.from(buildRequest(api.key, api.versionMax, sampleBodies[api.key]));
      for (const [place, value] of changes) frame[place % frame.length] = value;
      return frame;
    }),
  );
  let end = await produceOne(healthy);
  await fc.assert(
    fc.asyncProperty(fc.array(anyBytes, { minLength: 1, maxLength: 5 }), async (pieces) => {
      const broken = await connectClient();
      for (const piece of pieces) broken.send(piece);
      const offset = await produceOne(healthy);
      expect(offset).toBeGreaterThan(end - 1); // the broken client may have produced, too
      end = offset;
      broken.close();
    }),
    // Fixed, so that a failure shows again; fast-check prints it with the counterexample.
    { seed: 20_261_123, numRuns: 300 },
  );
});

describe("stopping", () => {
  test("ends every connection, also one that waits for records, and can be repeated", async () => {
    const client = await connectClient();
    await createEvents(client);
    client.send(buildRequest(1, 11, fetchBody("events", 0, 0, { waitMsMax: 60_000 })));
    await Promise.all([broker.stop(), broker.stop(), client.ended]);
    await broker.stop();
  });

  test("frees the port for the next broker, which starts empty", async () => {
    await createEvents(await connectClient());
    await broker.stop();
    const next = await startKafkaBroker({ port: broker.port });
    try {
      expect(next.brokers).toBe(`127.0.0.1:${broker.port}`);
      const client = await connectRaw(next.port);
      clients.push(client);
      client.send(buildRequest(0, 7, produceBody("events", 0, buildRecordBatch())));
      expect((await readProduced(client)).error).toBe(3); // UNKNOWN_TOPIC_OR_PARTITION
    } finally {
      await next.stop();
    }
  });

  test("is not needed for a broker that could not start: a taken port is an error", async () => {
    await expect(startKafkaBroker({ port: broker.port })).rejects.toThrow();
  });
});

function lengthOf(bytes: number): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes);
  return length;
}

async function connectClient(): Promise<RawClient> {
  const client = await connectRaw(broker.port);
  clients.push(client);
  return client;
}

/** Creates topic "events" by asking for its metadata. */
async function createEvents(client: RawClient): Promise<void> {
  client.send(buildRequest(3, 6, sampleBodies[3]));
  await client.receive();
}

async function expectToProduce(client: RawClient): Promise<void> {
  await createEvents(client);
  const before = await produceOne(client);
  expect(await produceOne(client)).toBe(before + 1);
}

async function produceOne(client: RawClient, partition = 0): Promise<number> {
  client.send(buildRequest(0, 7, produceBody("events", partition, buildRecordBatch())));
  const { error, baseOffset } = await readProduced(client);
  expect(error).toBe(0);
  return baseOffset;
}

async function readProduced(client: RawClient): Promise<{ error: number; baseOffset: number }> {
  const response = await client.receive();
  response.int32(); // correlation id
  const topics = response.array((reader) => {
    reader.string();
    return reader.array((reader) => {
      reader.int32(); // partition
      const error = reader.int16();
      const baseOffset = reader.int64();
      reader.int64(); // log append time
      reader.int64(); // log start offset
      return { error, baseOffset };
    });
  });
  return topics[0]?.[0] ?? { error: -1, baseOffset: -1 };
}
