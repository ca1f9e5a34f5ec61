/** Kafka as a victim: Apache Kafka is killed; the embedded broker, which keeps all in memory, only frozen. */
import { startApacheKafka } from "../../tests/support/apache-kafka.ts";
import { createChild } from "./child.ts";
import { freePort } from "#lib/embedded/free-port.ts";
import { isListening } from "../shared/is-listening.ts";
import { until } from "../shared/until.ts";
import { DOWN_MS, type Victim } from "./victims.ts";

/** What of Kafka can be taken down; see Victim. */
export interface KafkaVictim extends Pick<Victim, "name" | "means" | "downMs" | "kill"> {
  /** Resolves when it answers again. */
  restart(): Promise<void>;
}

export interface ChaosKafka {
  /** What it is, for the report. */
  readonly kind: string;
  /** As in KAFKA_BROKERS. */
  readonly brokers: string;
  readonly victims: readonly KafkaVictim[];
  /** Also ends what is being done to a victim, with an error. */
  stop(): Promise<void>;
}

const STARTED_WITHIN_MS = 15_000;

/**
 * @param libsDir Apache Kafka's jars; without them the embedded broker runs
 * @param folder for the broker's log
 */
export async function startChaosKafka(
  libsDir: string | undefined,
  folder: string,
  onUnexpectedEnd: (what: string) => void,
): Promise<ChaosKafka> {
  if (libsDir) {
    const { brokers, kill, restart, stop } = await startApacheKafka({ libsDir });
    return {
      kind: "Apache Kafka",
      brokers: brokers.join(","),
      victims: [
        {
          name: "kafka",
          means: "kill -9",
          downMs: DOWN_MS,
          kill,
          // On a busy machine a start may take longer than the starter waits.
          restart: () => restart().catch(restart),
        },
      ],
      stop,
    };
  }
  const port = freePort();
  const child = createChild({
    name: "kafka",
    args: () => ["scripts/chaos/programs/broker.ts", String(port)],
    env: {},
    folder,
    onUnexpectedEnd,
  });
  child.start();
  await until("the embedded broker listens", () => isListening(port), STARTED_WITHIN_MS);
  return {
    kind: "the embedded broker",
    brokers: `127.0.0.1:${port}`,
    victims: [
      {
        name: "kafka",
        means: "SIGSTOP",
        downMs: DOWN_MS,
        kill: async () => child.freeze(),
        restart: async () => child.thaw(),
      },
    ],
    stop: () => child.kill(),
  };
}
