// A small in-process broker that speaks Kafka's wire protocol.
//
// It is a stand-in for the demo and the tests, so that neither needs Docker or a JVM: one broker,
// records and offsets in memory only, no replication, transactions, compaction, security or quotas.
// Record batches stay opaque bytes, and consumer groups rebalance as Kafka's classic protocol says.
// What it answers is checked with two clients (kafkajs, kcat); for real work run Apache Kafka.
import { randomUUID } from "node:crypto";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { BrokerState } from "./api.ts";
import { serveConnection } from "./connection.ts";
import { GroupCoordinator } from "./groups.ts";
import { limits } from "./limits.ts";
import { TopicStore } from "./topics.ts";

/** Settings of {@link startKafkaBroker}. */
export interface KafkaBrokerOptions {
  /** Address to listen on. @default "127.0.0.1" */
  readonly host?: string;
  /** Port to listen on; 0 takes a free one. @default 0 */
  readonly port?: number;
  /** Partitions of a topic whose creator names no number. @default 3 */
  readonly partitions?: number;
  /** Memory for records over all partitions; beyond it the oldest go. @default 256 MiB */
  readonly retentionBytesMax?: number;
  /**
   * Told of a fault in the broker itself; the connection it happened on is closed.
   * @default reported as an uncaught error, so that no test passes over it
   */
  readonly onInternalError?: (error: unknown) => void;
}

/** A running broker. */
export interface KafkaBroker {
  readonly port: number;
  /** What clients take as their list of brokers: "127.0.0.1:1234". */
  readonly brokers: string;
  /** Closes every connection and forgets everything. May be called more than once. */
  stop(): Promise<void>;
}

/**
 * Starts a broker.
 * @throws the listening socket's error, for example EADDRINUSE
 * @see https://kafka.apache.org/41/design/protocol/
 */
export async function startKafkaBroker(options: KafkaBrokerOptions = {}): Promise<KafkaBroker> {
  const {
    host = "127.0.0.1",
    partitions = 3,
    retentionBytesMax = 256 * 1024 * 1024,
    onInternalError = reportError,
  } = options;
  const state: BrokerState = {
    clusterId: randomUUID(),
    topics: new TopicStore({ partitionsDefault: partitions, retentionBytesMax }),
    groups: new GroupCoordinator(),
    nextProducerId: 0,
  };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    if (sockets.size >= limits.connectionsMax) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    serveConnection(socket, state, onInternalError);
  });
  const { port } = await listen(server, host, options.port ?? 0);

  let stopping: Promise<void> | undefined;
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
      state.groups.close();
    });
  return {
    port,
    brokers: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
    stop: () => (stopping ??= stop()),
  };
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("not a TCP socket"));
      else resolve(address);
    });
  });
}
