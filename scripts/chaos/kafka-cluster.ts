/** A cluster of three Kafka nodes as victims: one is killed or frozen at a time, or all are restarted in turn. */
import { NODE_IDS, startKafkaCluster } from "../../tests/support/kafka-cluster.ts";
import { ORDER_CREATED_TOPIC, ORDER_TOPIC_PARTITIONS } from "#lib/orders/order-created.ts";
import type { ChaosKafka, KafkaVictim } from "./kafka.ts";
import type { Random } from "./random.ts";
import { DOWN_MS } from "./victims.ts";

/** Below and above what it takes until a node is fenced and what it led is led by others. */
const FROZEN_MS = { min: 10_000, max: 40_000 };
const NO_TIME = { min: 0, max: 0 };

/**
 * Before a fault counts as over all replicas are in sync: with two nodes away a cluster of three may
 * refuse to write, and rightly so.
 * @param random draws the node, or the partition whose leader is meant
 */
export async function startChaosCluster(
  libsDir: string,
  random: Random,
  onUnexpectedEnd: (what: string) => void,
): Promise<ChaosKafka> {
  const cluster = await startKafkaCluster({ libsDir, onUnexpectedEnd });
  let down: number = NODE_IDS[0];

  const kill = async (id: number) => {
    down = id;
    await cluster.kill(id);
  };
  const restart = async () => {
    // On a busy machine a start may take longer than the starter waits.
    await cluster.start(down).catch(async () => {
      await cluster.kill(down);
      await cluster.start(down);
    });
    await cluster.inSync();
  };
  const victims: KafkaVictim[] = [
    {
      name: "node",
      means: "kill -9",
      downMs: DOWN_MS,
      kill: () => kill(random.pick(NODE_IDS)),
      restart,
    },
    {
      name: "controller",
      means: "kill -9",
      downMs: DOWN_MS,
      kill: async () => await kill(cluster.controllerId()),
      restart,
    },
    {
      name: "leader",
      means: "SIGSTOP",
      downMs: FROZEN_MS,
      async kill() {
        const partition = random.integer(0, ORDER_TOPIC_PARTITIONS - 1);
        down = await cluster.leaderOf(ORDER_CREATED_TOPIC, partition);
        cluster.freeze(down);
      },
      async restart() {
        cluster.thaw(down);
        await cluster.inSync();
      },
    },
    {
      name: "nodes in turn",
      means: "SIGTERM",
      downMs: NO_TIME,
      kill: cluster.rollingRestart,
      restart: async () => {},
    },
  ];
  return {
    kind: "three Apache Kafka nodes",
    brokers: cluster.brokers.join(","),
    victims,
    stop: cluster.stop,
  };
}
