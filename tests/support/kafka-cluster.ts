// A real Apache Kafka cluster for tests: three KRaft nodes, each broker and controller, no Docker.
// By hand: `APACHE_KAFKA_LIBS=.ci/apache-kafka/libs bun tests/support/kafka-cluster.ts`.
import { cp, mkdtemp, rm } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Admin } from "kafkajs";
import { freePort } from "#lib/embedded/free-port.ts";
import { createKafka } from "#lib/kafka/client.ts";
import { makeCertificates, type Certificates } from "./certificates.ts";
import {
  format,
  kafkaUuid,
  propertiesText,
  SMALL_SERVER,
  startNode,
  waitUntilAnswering,
  type KafkaNode,
  type ServerProperties,
} from "./kafka-node.ts";

/** How to start a cluster; see {@link startKafkaCluster}. */
export interface KafkaClusterOptions {
  /** Folder with Kafka's jars, filled by `.ci/apache-kafka/pom.xml`. */
  readonly libsDir: string;
  /** Another listener beside the plaintext one: TLS, with SASL. */
  readonly secure?: SecureListenerOptions;
  /** More properties for each node, by Kafka's names; they go over ours. */
  readonly properties?: ServerProperties;
  /** Told when a node ends and nobody here has ended it. */
  readonly onUnexpectedEnd?: (what: string) => void;
}

/** Who is let in, by which mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, and OAUTHBEARER (unsigned tokens). */
export interface SecureListenerOptions {
  readonly username: string;
  readonly password: string;
}

/** How to reach the SASL_SSL listeners. */
export interface SecureListener {
  /** `localhost:port` of each node: the name that its certificate has. */
  readonly brokers: string[];
  /** The same ports by an address that no certificate has. */
  readonly brokersByAddress: string[];
  readonly certificates: Certificates;
}

/** A running cluster. Nodes have the ids 1 to 3. */
export interface KafkaCluster {
  /** Addresses of the plaintext listeners, as `host:port`, by id: `brokers[id - 1]`. */
  readonly brokers: string[];
  readonly secure: SecureListener | undefined;
  /** Ends a node without warning (SIGKILL); its data stays. */
  kill(id: number): Promise<void>;
  /** SIGSTOP: it keeps its memory, its connections stay open and silent. */
  freeze(id: number): void;
  thaw(id: number): void;
  /** Ends a node in good order (SIGTERM); it hands over what it leads first. */
  end(id: number): Promise<void>;
  /** Starts a node that has ended; resolves when it answers and is one of the brokers. */
  start(id: number): Promise<void>;
  /** Each node ended in good order and started again, one at a time, the next when all replicas are in sync. */
  rollingRestart(): Promise<void>;
  /** The node that leads a partition, as those that run say. */
  leaderOf(topic: string, partition: number): Promise<number>;
  /** The node that leads the controllers' quorum. */
  controllerId(): number;
  /** Adds partitions to a topic, up to `count`. */
  increasePartitions(topic: string, count: number): Promise<void>;
  /** Waits until every replica of every partition is in sync. */
  inSync(): Promise<void>;
  /** Ends all nodes and removes their data. Safe to call twice. */
  stop(): Promise<void>;
}

export const NODE_IDS = [1, 2, 3] as const;
const HEAP_MB = 256;
const IN_SYNC_WITHIN_MS = 90_000;
/** A node's own probe has its bound; this one is for admin calls while others are down. */
const ADMIN_WITHIN_MS = 30_000;
const POLL_MS = 200;
const REPLICAS = 3;

/** Ports of one node. */
interface NodePorts {
  readonly plain: number;
  readonly controller: number;
  readonly secure: number;
}

/**
 * Starts three nodes and waits until they are one cluster: three voters, three replicas of each
 * partition, of which two must be in sync for a write.
 *
 * Needs `java` (17 or later) on the PATH, and `openssl` for a secure listener. Time limits are Kafka's
 * defaults: a broker that is silent for 9 s is fenced, and its partitions are led by others then.
 *
 * @throws Error with the end of a node's output when the cluster does not come up; nothing stays then
 */
export async function startKafkaCluster(options: KafkaClusterOptions): Promise<KafkaCluster> {
  const { libsDir, secure } = options;
  const folder = await mkdtemp(join(tmpdir(), "orderflow-kafka-cluster-"));
  const nodes = new Map<number, KafkaNode>();
  const frozen = new Set<number>();
  const ports = portsOfNodes();
  const brokers = ports.map(({ plain }) => `127.0.0.1:${plain}`);
  const propertiesFile = (id: number) => join(folder, `node-${id}.properties`);
  let stopping: Promise<void> | undefined;

  function throwIfStopping(): void {
    if (stopping) throw new Error("the cluster is being stopped");
  }

  async function start(id: number): Promise<void> {
    throwIfStopping();
    const node = await startNode(libsDir, propertiesFile(id), HEAP_MB, folder);
    nodes.set(id, node);
    void watch(id, node);
    await waitUntilAnswering(node, addressOf(id), id);
  }

  async function watch(id: number, node: KafkaNode): Promise<void> {
    await node.ended;
    if (nodes.get(id) === node) options.onUnexpectedEnd?.(`Kafka node ${id}: ${node.output()}`);
  }

  async function end(id: number, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    frozen.delete(id);
    const node = nodes.get(id);
    nodes.delete(id);
    await node?.end(signal);
  }

  function addressOf(id: number): string {
    return brokers[id - 1] ?? "";
  }

  /** Asks one of those that can answer, another one after a failure. */
  async function ask<T>(question: (admin: Admin) => Promise<T>): Promise<T> {
    const deadlineMs = performance.now() + ADMIN_WITHIN_MS;
    for (;;) {
      throwIfStopping();
      const alive = [...nodes.keys()].filter((id) => !frozen.has(id)).map(addressOf);
      const admin = createKafka({
        connection: { brokers: alive },
        clientId: "kafka-cluster-test",
      }).admin();
      try {
        await admin.connect();
        return await question(admin);
      } catch (error) {
        if (performance.now() > deadlineMs) throw error;
      } finally {
        await admin.disconnect();
      }
      await Bun.sleep(POLL_MS);
    }
  }

  async function inSync(): Promise<void> {
    const deadlineMs = performance.now() + IN_SYNC_WITHIN_MS;
    for (;;) {
      const { topics } = await ask((admin) => admin.fetchTopicMetadata());
      const partitions = topics.flatMap((topic) => topic.partitions);
      const lagging = partitions.filter(({ replicas, isr, leader }) => {
        return leader < 0 || isr.length < replicas.length;
      });
      if (lagging.length === 0) return;
      if (performance.now() > deadlineMs) {
        throw new Error(`${lagging.length} partitions are not in sync`);
      }
      await Bun.sleep(POLL_MS);
    }
  }

  async function stop(): Promise<void> {
    // Nobody needs this data again: in good order it would take three times as long.
    await Promise.all(NODE_IDS.map((id) => end(id, "SIGKILL")));
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }

  try {
    const certificates = secure ? await makeCertificates(folder, "localhost") : undefined;
    for (const id of NODE_IDS) {
      const properties = serverProperties(id, ports, folder, secure, certificates);
      await Bun.write(propertiesFile(id), propertiesText({ ...properties, ...options.properties }));
    }
    await formatAll(libsDir, folder, propertiesFile(1), secure);
    const starting = await Promise.allSettled(NODE_IDS.map(start));
    for (const result of starting) if (result.status === "rejected") throw result.reason;
    return {
      brokers,
      secure: certificates && {
        brokers: ports.map((node) => `localhost:${node.secure}`),
        brokersByAddress: ports.map((node) => `127.0.0.1:${node.secure}`),
        certificates,
      },
      kill: (id) => end(id, "SIGKILL"),
      freeze(id) {
        frozen.add(id);
        nodes.get(id)?.signal("SIGSTOP");
      },
      thaw(id) {
        frozen.delete(id);
        nodes.get(id)?.signal("SIGCONT");
      },
      end: (id) => end(id, "SIGTERM"),
      start,
      async rollingRestart() {
        for (const id of NODE_IDS) {
          await inSync();
          await end(id, "SIGTERM");
          await start(id);
        }
        await inSync();
      },
      async leaderOf(topic, partition) {
        const { topics } = await ask((admin) => admin.fetchTopicMetadata({ topics: [topic] }));
        const found = topics[0]?.partitions.find(({ partitionId }) => partitionId === partition);
        if (!found) throw new Error(`there is no partition ${partition} of ${topic}`);
        return found.leader;
      },
      controllerId: () => controllerId(folder),
      async increasePartitions(topic, count) {
        await ask((admin) =>
          admin.createPartitions({ topicPartitions: [{ topic, count }], timeout: ADMIN_WITHIN_MS }),
        );
      },
      inSync,
      stop: () => (stopping ??= stop()),
    };
  } catch (error) {
    stopping = stop();
    await stopping;
    throw error;
  }
}

function portsOfNodes(): NodePorts[] {
  return NODE_IDS.map(() => ({ plain: freePort(), controller: freePort(), secure: freePort() }));
}

/**
 * Formats one node's storage and copies it: the others differ in their ids alone, and each run of the
 * tool costs a JVM's start.
 */
async function formatAll(
  libsDir: string,
  folder: string,
  propertiesFile: string,
  secure: SecureListenerOptions | undefined,
): Promise<void> {
  const users = ["SCRAM-SHA-256", "SCRAM-SHA-512"].map((mechanism) => {
    return `${mechanism}=[name=${secure?.username},password=${secure?.password}]`;
  });
  await format(libsDir, propertiesFile, secure ? users : []);
  for (const id of NODE_IDS.slice(1)) {
    await cp(dataDir(folder, 1), dataDir(folder, id), { recursive: true });
    const file = Bun.file(join(dataDir(folder, id), "meta.properties"));
    const meta = (await file.text())
      .replace(/^node\.id=.*$/m, `node.id=${id}`)
      .replace(/^directory\.id=.*$/m, `directory.id=${kafkaUuid()}`);
    await Bun.write(file, meta);
  }
}

/**
 * Who leads the quorum, from what the nodes keep of their last vote: clients are only told of any
 * broker that takes their requests.
 */
function controllerId(folder: string): number {
  const votes = NODE_IDS.map((id) => {
    const file = join(dataDir(folder, id), "__cluster_metadata-0", "quorum-state");
    return JSON.parse(readFileSync(file, "utf8")) as { leaderId: number; leaderEpoch: number };
  });
  const led = votes.filter(({ leaderId }) => leaderId > 0);
  const latest = led.toSorted((a, b) => b.leaderEpoch - a.leaderEpoch)[0];
  if (!latest) throw new Error("the controllers have no leader");
  return latest.leaderId;
}

function dataDir(folder: string, id: number): string {
  return join(folder, `data-${id}`);
}

function serverProperties(
  id: number,
  ports: readonly NodePorts[],
  folder: string,
  secure: SecureListenerOptions | undefined,
  certificates: Certificates | undefined,
): ServerProperties {
  const own = ports[id - 1];
  if (!own) throw new Error(`there is no node ${id}`);
  const plain = `PLAINTEXT://127.0.0.1:${own.plain}`;
  // The certificate is for a name, so that verifying it can fail.
  const tls = secure ? `,SASL_SSL://localhost:${own.secure}` : "";
  return {
    ...SMALL_SERVER,
    "process.roles": "broker,controller",
    "node.id": id,
    "controller.quorum.voters": NODE_IDS.map((voter) => {
      return `${voter}@127.0.0.1:${ports[voter - 1]?.controller}`;
    }).join(","),
    listeners: `${plain},CONTROLLER://127.0.0.1:${own.controller}${tls}`,
    "advertised.listeners": `${plain}${tls}`,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "log.dirs": dataDir(folder, id),
    "default.replication.factor": REPLICAS,
    "min.insync.replicas": REPLICAS - 1,
    "offsets.topic.replication.factor": REPLICAS,
    "transaction.state.log.replication.factor": REPLICAS,
    "transaction.state.log.min.isr": REPLICAS - 1,
    "share.coordinator.state.topic.replication.factor": REPLICAS,
    "share.coordinator.state.topic.min.isr": REPLICAS - 1,
    // Three nodes share one small machine.
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    ...(secure && certificates ? secureProperties(secure, certificates) : {}),
  };
}

function secureProperties(
  { username, password }: SecureListenerOptions,
  { serverPemFile, caFile }: Certificates,
): ServerProperties {
  const security = "org.apache.kafka.common.security";
  const listener = "listener.name.sasl_ssl";
  const scram = `${security}.scram.ScramLoginModule required;`;
  return {
    [`${listener}.ssl.keystore.type`]: "PEM",
    [`${listener}.ssl.keystore.location`]: serverPemFile,
    [`${listener}.ssl.truststore.type`]: "PEM",
    [`${listener}.ssl.truststore.location`]: caFile,
    // Asked for and not demanded: a client may show its own certificate, and then it must be good.
    [`${listener}.ssl.client.auth`]: "requested",
    [`${listener}.sasl.enabled.mechanisms`]: "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
    [`${listener}.plain.sasl.jaas.config`]: `${security}.plain.PlainLoginModule required user_${username}="${password}";`,
    [`${listener}.scram-sha-256.sasl.jaas.config`]: scram,
    [`${listener}.scram-sha-512.sasl.jaas.config`]: scram,
    // Without another handler it takes tokens that nobody has signed, as long as they have not expired.
    [`${listener}.oauthbearer.sasl.jaas.config`]: `${security}.oauthbearer.OAuthBearerLoginModule required;`,
  };
}

if (import.meta.main) {
  const startedMs = performance.now();
  const cluster = await startKafkaCluster({
    libsDir: process.env["APACHE_KAFKA_LIBS"] ?? ".ci/apache-kafka/libs",
  });
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
  console.log(`three nodes listen on ${cluster.brokers.join(",")} after ${seconds} s`);
  const stop = () => void cluster.stop().then(() => process.exit(0));
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}
