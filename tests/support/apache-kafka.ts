// A real Apache Kafka for tests: one KRaft node (broker and controller in one JVM), no Docker.
// By hand: `APACHE_KAFKA_LIBS=.ci/apache-kafka/libs bun tests/support/apache-kafka.ts 9092`.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "#lib/embedded/free-port.ts";
import {
  format,
  propertiesText,
  SMALL_SERVER,
  startNode,
  waitUntilAnswering,
  type KafkaNode,
  type ServerProperties,
} from "./kafka-node.ts";

/** How to start Apache Kafka; see {@link startApacheKafka}. */
export interface ApacheKafkaOptions {
  /** Folder with Kafka's jars, filled by `.ci/apache-kafka/pom.xml`. */
  readonly libsDir: string;
  /** TCP port on the loopback interface; a free one by default. */
  readonly port?: number;
  /** Where the logs are kept. By default a temporary folder that `stop` removes. */
  readonly dataDir?: string;
  /** Partitions of a topic that is created without a number. */
  readonly partitions?: number;
}

/** A running Apache Kafka. */
export interface ApacheKafka {
  /** Addresses for a client, as `host:port`. */
  readonly brokers: string[];
  /** Ends it in good order (SIGTERM) and removes the temporary folder. Safe to call twice. */
  stop(): Promise<void>;
  /** Ends it without warning (SIGKILL); the data stays. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data, after ending it if it runs. */
  restart(): Promise<void>;
}

const NODE_ID = 1;
const HEAP_MB = 512;

/**
 * Starts Apache Kafka and waits until it answers.
 *
 * Needs `java` (17 or later) on the PATH. Topics are never created by asking for them, as in any
 * sensible production cluster, and groups form at once (no initial rebalance delay).
 *
 * @throws Error with the end of the broker's output when it does not come up within a minute
 */
export async function startApacheKafka(options: ApacheKafkaOptions): Promise<ApacheKafka> {
  const ownsDataDir = options.dataDir === undefined;
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "orderflow-kafka-")));
  const port = options.port === undefined || options.port === 0 ? freePort() : options.port;
  const propertiesFile = join(dataDir, "server.properties");
  await Bun.write(
    propertiesFile,
    propertiesText(serverProperties(port, freePort(), dataDir, options.partitions)),
  );

  let node: KafkaNode | undefined;
  const address = `127.0.0.1:${port}`;

  async function start(): Promise<void> {
    node = await startNode(options.libsDir, propertiesFile, HEAP_MB, ownsDataDir ? dataDir : "");
    try {
      await waitUntilAnswering(node, address, NODE_ID);
    } catch (error) {
      await end("SIGKILL");
      throw error;
    }
  }

  async function end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const ending = node;
    node = undefined;
    await ending?.end(signal);
  }

  const removeData = async () => {
    if (ownsDataDir) await rm(dataDir, { recursive: true, force: true });
  };
  try {
    await format(options.libsDir, propertiesFile);
    await start();
  } catch (error) {
    await removeData();
    throw error;
  }
  return {
    brokers: [address],
    kill: () => end("SIGKILL"),
    async restart() {
      await end("SIGTERM");
      await start();
    },
    async stop() {
      await end("SIGTERM");
      await removeData();
    },
  };
}

function serverProperties(
  port: number,
  controllerPort: number,
  dataDir: string,
  partitions = 1,
): ServerProperties {
  return {
    ...SMALL_SERVER,
    "process.roles": "broker,controller",
    "node.id": NODE_ID,
    "controller.quorum.voters": `${NODE_ID}@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    "advertised.listeners": `PLAINTEXT://127.0.0.1:${port}`,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "log.dirs": join(dataDir, "logs"),
    "num.partitions": partitions,
    "default.replication.factor": 1,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
  };
}

if (import.meta.main) {
  const kafka = await startApacheKafka({
    libsDir: process.env["APACHE_KAFKA_LIBS"] ?? ".ci/apache-kafka/libs",
    port: Number(Bun.argv[2] ?? 9092),
    partitions: 3,
  });
  console.log(`Apache Kafka listens on ${kafka.brokers.join(",")}`);
  const stop = () => void kafka.stop().then(() => process.exit(0));
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}
