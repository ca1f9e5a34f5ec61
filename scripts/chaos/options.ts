/** What a chaos run is told on the command line. */
import { parseArgs } from "node:util";
import { wholeNumber } from "../shared/command-line.ts";
import { CLUSTER_VICTIMS, VICTIMS } from "./victims.ts";

export interface ChaosOptions {
  /** Decides which orders are placed, who is killed when, and for how long: a run can be repeated. */
  readonly seed: number;
  /** Orders to place, evenly over {@link seconds}. */
  readonly orders: number;
  /** How long the load lasts; longer where the kills take longer, at the same rate. */
  readonly seconds: number;
  /** How many kills; each victim comes once before any comes again. */
  readonly kills: number;
  /** Whether to go from one worker to three and back under load. */
  readonly scaleWorkers: boolean;
  /** How long Kafka is down in one outage before the kills begin; 0 for none. */
  readonly kafkaOutageSeconds: number;
  /** Whether Kafka is a cluster of three nodes, whose faults come in place of one broker's death. */
  readonly cluster: boolean;
  /** Whether to keep logs and spans of a green run too; those of a red one are always kept. */
  readonly keep: boolean;
}

export const USAGE = `Usage: bun run test:chaos [options]
  --seed N                  repeat a run (default: a random one, printed)
  --cluster                 three Apache Kafka nodes: killed, frozen, restarted one after the other
  --orders N                orders to place (default 960; 4800 with --cluster)
  --seconds N               over how many seconds (default 80; 160 with --cluster)
  --kills N                 so many faults; 0 for none (default 8, 11 with --cluster: each victim once)
  --scale-workers           1 -> 3 -> 1 workers under load
  --kafka-outage-seconds N  Kafka down for so long under load
  --keep                    keep the logs and spans, also when all is well
APACHE_KAFKA_LIBS=<folder with Kafka's jars> runs against Apache Kafka, else the embedded broker.
--cluster needs it.`;

/** What a run is by default, with one broker and with a cluster. */
const DEFAULTS = {
  broker: { orders: 960, seconds: 80, kills: VICTIMS.length },
  cluster: { orders: 4_800, seconds: 160, kills: CLUSTER_VICTIMS.length },
};

/** @throws Error that says which option is wrong */
export function parseOptions(args: string[]): ChaosOptions | "help" {
  const { values } = parseArgs({
    args,
    options: {
      seed: { type: "string" },
      cluster: { type: "boolean", default: false },
      orders: { type: "string" },
      seconds: { type: "string" },
      kills: { type: "string" },
      "scale-workers": { type: "boolean", default: false },
      "kafka-outage-seconds": { type: "string" },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return "help";
  const { cluster } = values;
  const defaults = cluster ? DEFAULTS.cluster : DEFAULTS.broker;
  const outage = values["kafka-outage-seconds"];
  const options: ChaosOptions = {
    seed: wholeNumber("seed", values.seed, randomSeed(), { min: 0, max: 0xffffffff }),
    orders: wholeNumber("orders", values.orders, defaults.orders, { min: 1, max: 100_000 }),
    seconds: wholeNumber("seconds", values.seconds, defaults.seconds, { min: 1, max: 7_200 }),
    kills: wholeNumber("kills", values.kills, defaults.kills, { min: 0, max: 1_000 }),
    scaleWorkers: values["scale-workers"],
    kafkaOutageSeconds: wholeNumber("kafka-outage-seconds", outage, 0, { min: 0, max: 3_600 }),
    cluster,
    keep: values.keep,
  };
  if (cluster && options.kafkaOutageSeconds > 0) {
    throw new Error("--kafka-outage-seconds is for one broker, and not with --cluster");
  }
  return options;
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}
