// The tests' own TCP proxy does to connections what it says.
import { afterAll, afterEach, expect, test } from "bun:test";
import { createConnection, createServer, type AddressInfo, type Socket } from "node:net";
import { startTcpProxy, type TcpProxy } from "./support/tcp-proxy.ts";
import { until } from "./support/until.ts";

/** How connections ended, as the server saw it, by their port on the proxy. */
const serverEnds = new Map<number | undefined, string>();
/** A server that says each thing twice. */
const server = createServer((socket) => {
  const { remotePort } = socket;
  socket.on("data", (bytes: Buffer) => socket.write(Buffer.concat([bytes, bytes])));
  socket.on("error", (error) => serverEnds.set(remotePort, codeOf(error)));
  socket.on("end", () => serverEnds.set(remotePort, "end"));
});
const codeOf = (error: Error) => (error as NodeJS.ErrnoException).code ?? error.message;
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
const upstream = { port: (server.address() as AddressInfo).port };
afterAll(() => void server.close());

let proxy: TcpProxy;
const start = async () => (proxy = await startTcpProxy(upstream));
const firstPort = () => proxy.connections[0]?.upstreamPort;
afterEach(() => proxy.stop());

class Client {
  heard = "";
  end: string | undefined;
  readonly socket: Socket;
  constructor(port: number) {
    this.socket = createConnection({ host: "127.0.0.1", port });
    this.socket.on("data", (bytes) => (this.heard += bytes.toString()));
    this.socket.on("error", (error) => (this.end = codeOf(error)));
    this.socket.on("end", () => (this.end ??= "end"));
  }
  async says(text: string, heard: string) {
    this.socket.write(text);
    await until(`${heard} is heard`, () => this.heard.endsWith(heard));
  }
}

test("leads both ways, and tells which connection is which to the server", async () => {
  const { port } = await start();
  const client = new Client(port);
  await client.says("ab", "abab");
  expect(proxy.connections).toHaveLength(1);
  const seenPort = firstPort();
  client.socket.end();
  await until("the server hears the end", () => serverEnds.get(seenPort) === "end");
  await until("the connection is over", () => proxy.connections.length === 0);
  expect(proxy.acceptedCount).toBe(1);
});

test("one connection goes silent, the other does not, and the silence can end", async () => {
  const { port } = await start();
  const [quiet, other] = [new Client(port), new Client(port)];
  await quiet.says("a", "aa");
  await other.says("b", "bb");
  const silent = proxy.connections.find(({ id }) => id === 1);
  silent?.silence();
  quiet.socket.write("c");
  await other.says("d", "dd");
  expect(quiet.heard).toBe("aa");
  silent?.resume();
  await until("what was sent has arrived", () => quiet.heard === "aacc");
});

test("a silent connection's end is not heard on the other side, but is counted", async () => {
  const { port } = await start();
  const client = new Client(port);
  await client.says("a", "aa");
  const seenPort = firstPort();
  proxy.silence();
  client.socket.destroy();
  await until("the client has gone", () => proxy.connections.length === 0);
  const next = new Client(port);
  await next.says("b", "bb");
  expect(serverEnds.get(seenPort)).toBeUndefined();
});

test("a reset is one, for both sides", async () => {
  const { port } = await start();
  const client = new Client(port);
  await client.says("a", "aa");
  const seenPort = firstPort();
  proxy.reset();
  await until("both heard it", () => client.end !== undefined && serverEnds.has(seenPort));
  expect([client.end, serverEnds.get(seenPort)]).toEqual(["ECONNRESET", "ECONNRESET"]);
});

test("new connections can be refused, or taken and never answered", async () => {
  const { port } = await start();
  const old = new Client(port);
  await old.says("a", "aa");
  await proxy.onNew("refuse");
  const refused = new Client(port);
  await until("it is refused", () => refused.end === "ECONNREFUSED");
  await proxy.onNew("silence");
  const unanswered = new Client(port);
  unanswered.socket.write("b");
  await until("it is taken", () => proxy.acceptedCount === 2);
  await old.says("c", "cc");
  expect(unanswered.heard).toBe("");
  expect(unanswered.end).toBeUndefined();
});

test("delay and drip make it slow", async () => {
  const { port } = await start();
  proxy.delay(60);
  const client = new Client(port);
  const startedMs = performance.now();
  await client.says("a", "aa");
  expect(performance.now() - startedMs).toBeGreaterThan(115);
  proxy.delay(0);
  proxy.drip({ bytes: 1, pauseMs: 10 });
  const drippingMs = performance.now();
  await client.says("bcdef", "bbccddeeff");
  expect(performance.now() - drippingMs).toBeGreaterThan(90);
});

test("the address can move", async () => {
  const { port } = await start();
  const other = createServer((socket) => socket.on("data", () => socket.write("moved")));
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", () => resolve()));
  proxy.switchTo({ port: (other.address() as AddressInfo).port });
  await new Client(port).says("a", "moved");
  other.close();
});
