/** What a chaos run is told on the command line. */
import { parseArgs } from "node:util";
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
  broker: { orders: "960", seconds: "80", kills: String(VICTIMS.length) },
  cluster: { orders: "4800", seconds: "160", kills: String(CLUSTER_VICTIMS.length) },
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
      "kafka-outage-seconds": { type: "string", default: "0" },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return "help";
  const defaults = values.cluster ? DEFAULTS.cluster : DEFAULTS.broker;
  if (values.cluster && values["kafka-outage-seconds"] !== "0") {
    throw new Error("--kafka-outage-seconds is for one broker, and not with --cluster");
  }
  const randomSeed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  return {
    seed: values.seed === undefined ? randomSeed : integer("seed", values.seed, 0, 0xffffffff),
    orders: integer("orders", values.orders ?? defaults.orders, 1, 100_000),
    seconds: integer("seconds", values.seconds ?? defaults.seconds, 1, 7_200),
    kills: integer("kills", values.kills ?? defaults.kills, 0, 1_000),
    scaleWorkers: values["scale-workers"],
    kafkaOutageSeconds: integer("kafka-outage-seconds", values["kafka-outage-seconds"], 0, 3_600),
    cluster: values.cluster,
    keep: values.keep,
  };
}

function integer(name: string, text: string, min: number, max: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new Error(`--${name} must be an integer from ${min} to ${max}`);
}
