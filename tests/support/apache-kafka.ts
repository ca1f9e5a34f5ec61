// A real Apache Kafka for tests: one KRaft node (broker and controller in one JVM), no Docker.
// By hand: `APACHE_KAFKA_LIBS=.ci/apache-kafka/libs bun tests/support/apache-kafka.ts 9092`.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "#lib/embedded/free-port.ts";
import { createKafka } from "#lib/kafka/client.ts";

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

const STARTED_WITHIN_MS = 60_000;
const STOPPED_WITHIN_MS = 20_000;
/** How much of the broker's output an error shows. */
const OUTPUT_CHARACTERS_MAX = 4_000;

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
  await Bun.write(propertiesFile, serverProperties(port, freePort(), dataDir, options.partitions));

  let broker: BrokerProcess | undefined;
  const brokers = [`127.0.0.1:${port}`];

  async function start(): Promise<void> {
    broker = spawnBroker(options.libsDir, propertiesFile);
    try {
      await waitUntilAnswering(brokers, broker);
    } catch (error) {
      await end("SIGKILL");
      throw error;
    }
  }

  async function end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const ending = broker;
    if (ending === undefined) return;
    broker = undefined;
    ending.process.kill(signal);
    const timer = setTimeout(() => ending.process.kill("SIGKILL"), STOPPED_WITHIN_MS);
    await ending.process.exited;
    clearTimeout(timer);
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
    brokers,
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

interface BrokerProcess {
  readonly process: Bun.Subprocess;
  /** The last part of what it wrote. */
  output(): string;
}

function spawnBroker(libsDir: string, propertiesFile: string): BrokerProcess {
  const child = Bun.spawn(java(libsDir, "kafka.Kafka", propertiesFile), {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let output = "";
  const keepEnd = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      output = (output + decoder.decode(chunk, { stream: true })).slice(-OUTPUT_CHARACTERS_MAX);
    }
  };
  void keepEnd(child.stdout);
  void keepEnd(child.stderr);
  return { process: child, output: () => output };
}

async function waitUntilAnswering(brokers: string[], broker: BrokerProcess): Promise<void> {
  const deadlineMs = performance.now() + STARTED_WITHIN_MS;
  const kafka = createKafka({ connection: { brokers }, clientId: "apache-kafka-starter" });
  for (;;) {
    if (await isListening(brokers)) {
      const admin = kafka.admin();
      try {
        await admin.connect();
        const cluster = await admin.describeCluster();
        if (cluster.brokers.length > 0) return;
      } catch {
        // Its port is open before it knows itself.
      } finally {
        await admin.disconnect();
      }
    }
    if (broker.process.exitCode !== null || performance.now() > deadlineMs) {
      throw new Error(`Apache Kafka did not start:\n${broker.output()}`);
    }
    await Bun.sleep(100);
  }
}

async function isListening([address = ""]: string[]): Promise<boolean> {
  const [hostname = "", port] = address.split(":");
  try {
    const socket = await Bun.connect({ hostname, port: Number(port), socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}

/** Writes the empty log that KRaft demands before the first start. */
async function format(libsDir: string, propertiesFile: string): Promise<void> {
  const id = crypto.getRandomValues(new Uint8Array(16));
  id[0] = 0; // so that its text never starts with "-", which the tool would read as an option
  const clusterId = Buffer.from(id).toString("base64url");
  const child = Bun.spawn(
    java(
      libsDir,
      "kafka.tools.StorageTool",
      "format",
      "--ignore-formatted",
      "-t",
      clusterId,
      "-c",
      propertiesFile,
    ),
    { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`Kafka's storage format failed:\n${out}${error}`);
}

function java(libsDir: string, ...mainAndArguments: string[]): string[] {
  return [
    "java",
    "-Xmx512m",
    "-Xshare:auto",
    "-XX:TieredStopAtLevel=1", // starts in half the time; the peak speed is not needed here
    "-Dlog4j2.level=WARN",
    "-cp",
    join(libsDir, "*"),
    ...mainAndArguments,
  ];
}

function serverProperties(
  port: number,
  controllerPort: number,
  dataDir: string,
  partitions = 1,
): string {
  return Object.entries({
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.quorum.voters": `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    "advertised.listeners": `PLAINTEXT://127.0.0.1:${port}`,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "log.dirs": join(dataDir, "logs"),
    "num.partitions": partitions,
    "auto.create.topics.enable": false,
    "group.initial.rebalance.delay.ms": 0,
    "default.replication.factor": 1,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
  })
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
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
