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
  /** Another listener, by SCRAM-SHA-256 and without TLS, for these users, who may do what ACLs allow. */
  readonly users?: { readonly names: readonly string[]; readonly password: string };
}

/** What a user was allowed to do, or was not: `Describe`, `Topic`, `order.created`. */
export interface Access {
  readonly user: string;
  readonly isAllowed: boolean;
  readonly operation: string;
  readonly resource: string;
  readonly name: string;
}

/** A running Apache Kafka. */
export interface ApacheKafka {
  /** Addresses for a client, as `host:port`. */
  readonly brokers: string[];
  /** The same for {@link ApacheKafkaOptions.users}. Those without a name, at `brokers`, may do all. */
  readonly brokersForUsers: string[];
  /** What the authorizer has decided about users so far. */
  accesses(): Promise<Access[]>;
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
  const securePort = freePort();
  const { users } = options;
  const properties = serverProperties(port, freePort(), dataDir, options.partitions);
  const authorizing = users ? authorizerProperties(properties, securePort) : {};
  await Bun.write(propertiesFile, propertiesText({ ...properties, ...authorizing }));
  const logFile = join(dataDir, "authorizer.log");
  const logConfiguration = join(dataDir, "log4j2.properties");
  if (users) await Bun.write(logConfiguration, authorizerLog(logFile));

  let node: KafkaNode | undefined;
  const address = `127.0.0.1:${port}`;

  async function start(): Promise<void> {
    node = await startNode(
      options.libsDir,
      propertiesFile,
      HEAP_MB,
      ownsDataDir ? dataDir : "",
      users ? [`-Dlog4j2.configurationFile=${logConfiguration}`] : [],
    );
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
    const scram = (name: string) => `SCRAM-SHA-256=[name=${name},password=${users?.password}]`;
    await format(options.libsDir, propertiesFile, users?.names.map(scram));
    await start();
  } catch (error) {
    await removeData();
    throw error;
  }
  return {
    brokers: [address],
    brokersForUsers: [`127.0.0.1:${securePort}`],
    accesses: async () => accessesIn(await Bun.file(logFile).text()),
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

/** Who comes by the listener without names is the super user. */
function authorizerProperties(
  { listeners, "advertised.listeners": advertised }: ServerProperties,
  port: number,
): ServerProperties {
  const secure = `SASL_PLAINTEXT://127.0.0.1:${port}`;
  const login = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
  return {
    listeners: `${listeners},${secure}`,
    "advertised.listeners": `${advertised},${secure}`,
    "listener.security.protocol.map":
      "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
    "listener.name.sasl_plaintext.sasl.enabled.mechanisms": "SCRAM-SHA-256",
    "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config": login,
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
  };
}

/** Log4j 2's configuration: what the authorizer decides goes into a file. */
function authorizerLog(file: string): string {
  return propertiesText({
    "rootLogger.level": "WARN",
    "rootLogger.appenderRef.console.ref": "console",
    "appender.console.type": "Console",
    "appender.console.name": "console",
    "appender.console.layout.type": "PatternLayout",
    "appender.authorizer.type": "File",
    "appender.authorizer.name": "authorizer",
    "appender.authorizer.fileName": file,
    "appender.authorizer.layout.type": "PatternLayout",
    "logger.authorizer.name": "kafka.authorizer.logger",
    "logger.authorizer.level": "DEBUG",
    "logger.authorizer.additivity": "false",
    "logger.authorizer.appenderRef.file.ref": "authorizer",
  });
}

function accessesIn(log: string): Access[] {
  const lines = log.matchAll(
    /Principal = User:(\S+) is (Allowed|Denied) operation = (\w+) .*?on resource = (\w+):LITERAL:(\S+) for/g,
  );
  return [...lines].map(([, user = "", decision, operation = "", resource = "", name = ""]) => ({
    user,
    isAllowed: decision === "Allowed",
    operation: operation
      .toLowerCase()
      .replaceAll(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase()),
    resource,
    name,
  }));
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
