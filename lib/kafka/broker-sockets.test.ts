// Tests of a client's sockets against brokers that are silent, in part or as a whole.
import { afterAll, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import { createBrokerSockets, type BrokerSocketLimits } from "./broker-sockets.ts";

const LIMITS: BrokerSocketLimits = {
  checkIntervalMs: 20,
  askAfterMs: 50,
  probeTimeoutMs: 2_000,
  silenceMaxMs: 60_000,
  idleSuspectMs: 60_000,
  probeIntervalMs: 20,
  forgetAfterMs: 60_000,
};

const cleanUps: (() => unknown)[] = [];
afterAll(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

/** A server that answers each request with one byte, on the connections on which it is told to. */
async function broker(port = 0) {
  const connections: Socket[] = [];
  const silent = new Set<number>();
  const state = { isFrozen: false, connections, silent, port: 0, close: async () => {} };
  const server: Server = createServer((socket) => {
    const index = connections.push(socket) - 1;
    socket.on("error", () => {});
    socket.on("data", () => {
      if (!state.isFrozen && !silent.has(index)) socket.write("!");
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  state.port = (server.address() as { port: number }).port;
  state.close = async () => {
    for (const socket of connections) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  cleanUps.push(state.close);
  return state;
}

/** A client's connection, and what becomes of it. */
function connection(sockets: ReturnType<typeof createBrokerSockets>, port: number) {
  const connected = Promise.withResolvers<void>();
  const over = Promise.withResolvers<"end" | string>();
  const socket = sockets.factory({
    host: "127.0.0.1",
    port,
    ssl: undefined as never,
    onConnect: () => connected.resolve(),
  });
  let answers = 0;
  const answered = () => new Promise<void>((resolve) => void socket.once("data", () => resolve()));
  socket.on("data", () => (answers += 1));
  socket.on("end", () => over.resolve("end"));
  socket.on("error", (error: NodeJS.ErrnoException) => over.resolve(`error ${error.code}`));
  cleanUps.push(() => socket.destroy());
  const ask = () => void socket.write("?");
  return { socket, connected: connected.promise, over: over.promise, ask, answered };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await Bun.sleep(5);
}

test.concurrent(
  "a broker that answers is left alone, however long its connections live",
  async () => {
    const server = await broker();
    const sockets = createBrokerSockets(undefined, LIMITS);
    const one = connection(sockets, server.port);
    await one.connected;
    let isOver = false;
    void one.over.then(() => (isOver = true));
    const untilMs = performance.now() + 4 * LIMITS.askAfterMs;
    while (performance.now() < untilMs) {
      const answer = one.answered();
      one.ask();
      await answer;
      await Bun.sleep(5);
    }
    expect(isOver).toBeFalse();
    expect(sockets.unreachable.size).toBe(0);
  },
);

test.concurrent(
  "a frozen broker: all its connections end, new ones are refused at once, until it answers",
  async () => {
    const server = await broker();
    const sockets = createBrokerSockets(undefined, { ...LIMITS, probeTimeoutMs: 200 });
    const asking = connection(sockets, server.port);
    const idle = connection(sockets, server.port);
    await Promise.all([asking.connected, idle.connected]);
    server.isFrozen = true;
    asking.ask();
    expect(await Promise.all([asking.over, idle.over])).toEqual(["end", "end"]);
    expect([...sockets.unreachable]).toEqual([[`127.0.0.1:${server.port}`, "does not answer"]]);

    const before = server.connections.length;
    const refused = connection(sockets, server.port);
    expect(await refused.over).toBe("error ECONNREFUSED");
    expect(server.connections.length).toBe(before);

    server.isFrozen = false;
    await until(() => sockets.unreachable.size === 0);
    const again = connection(sockets, server.port);
    await again.connected;
    const answer = again.answered();
    again.ask();
    await answer;
  },
);

test.concurrent("a broker that lives may take its time for an answer", async () => {
  const server = await broker();
  const sockets = createBrokerSockets(undefined, LIMITS);
  server.silent.add(0);
  const slow = connection(sockets, server.port);
  await slow.connected;
  slow.ask();
  // It has asked the broker by now, on connections of its own.
  await until(() => server.connections.length > 2);
  expect(sockets.unreachable.size).toBe(0);
  const answer = slow.answered();
  server.connections[0]?.write("!");
  await answer;
});

test.concurrent("a dead connection to a broker that lives is given up alone", async () => {
  const server = await broker();
  const sockets = createBrokerSockets(undefined, { ...LIMITS, silenceMaxMs: 400 });
  server.silent.add(0);
  const dead = connection(sockets, server.port);
  await dead.connected;
  const sound = connection(sockets, server.port);
  await sound.connected;
  dead.ask();
  expect(await dead.over).toBe("end");
  const answer = sound.answered();
  sound.ask();
  await answer;
  expect(sockets.unreachable.size).toBe(0);
});

test.concurrent(
  "one that lay idle before is given up as soon as its broker is known to live",
  async () => {
    const server = await broker();
    const sockets = createBrokerSockets(undefined, { ...LIMITS, idleSuspectMs: 100 });
    server.silent.add(0);
    const dead = connection(sockets, server.port);
    await dead.connected;
    await Bun.sleep(150); // idle is a matter of time
    dead.ask();
    expect(await dead.over).toBe("end");
    expect(sockets.unreachable.size).toBe(0);
  },
);

// By itself: its port is free for a moment, and the others ask for any that is.
test("a broker that is not there is told, and tried again when it is", async () => {
  const server = await broker();
  const { port } = server;
  await server.close();
  const sockets = createBrokerSockets(undefined, LIMITS);
  expect(await connection(sockets, port).over).toBe("error ECONNREFUSED");
  await until(() => sockets.unreachable.size === 1);
  expect(sockets.unreachable.get(`127.0.0.1:${port}`)).toContain("ECONNREFUSED");
  await broker(port);
  await until(() => sockets.unreachable.size === 0);
  await connection(sockets, port).connected;
});
