/** What a chaos run is told on the command line. */
import { parseArgs } from "node:util";

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
  /** Whether to keep logs and spans of a green run too; those of a red one are always kept. */
  readonly keep: boolean;
}

export const USAGE = `Usage: bun run test:chaos [options]
  --seed N                  repeat a run (default: a random one, printed)
  --orders N                orders to place (default 960)
  --seconds N               over how many seconds (default 80)
  --kills N                 kill -9 so many times; 0 for none (default 8: each victim once)
  --scale-workers           1 -> 3 -> 1 workers under load
  --kafka-outage-seconds N  Kafka down for so long under load
  --keep                    keep the logs and spans, also when all is well
APACHE_KAFKA_LIBS=<folder with Kafka's jars> runs against Apache Kafka, else the embedded broker.`;

/** @throws Error that says which option is wrong */
export function parseOptions(args: string[]): ChaosOptions | "help" {
  const { values } = parseArgs({
    args,
    options: {
      seed: { type: "string" },
      orders: { type: "string", default: "960" },
      seconds: { type: "string", default: "80" },
      kills: { type: "string", default: "8" },
      "scale-workers": { type: "boolean", default: false },
      "kafka-outage-seconds": { type: "string", default: "0" },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return "help";
  const randomSeed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  return {
    seed: values.seed === undefined ? randomSeed : integer("seed", values.seed, 0, 0xffffffff),
    orders: integer("orders", values.orders, 1, 100_000),
    seconds: integer("seconds", values.seconds, 1, 7_200),
    kills: integer("kills", values.kills, 0, 1_000),
    scaleWorkers: values["scale-workers"],
    kafkaOutageSeconds: integer("kafka-outage-seconds", values["kafka-outage-seconds"], 0, 3_600),
    keep: values.keep,
  };
}

function integer(name: string, text: string, min: number, max: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new Error(`--${name} must be an integer from ${min} to ${max}`);
}
