// Dead letters on the command line: `bun run dead-letters list` and `bun run dead-letters replay`.
import { createKafka } from "#lib/kafka/client.ts";
import { loadKafkaConfig } from "#lib/kafka/config.ts";
import { describeError } from "#lib/kafka/errors.ts";
import {
  listDeadLetters,
  replayDeadLetters,
  type DeadLetter,
  type LetterPlace,
} from "#lib/kafka/dead-letters.ts";
import { parseCommand, runCommand, UsageError } from "./shared/command-line.ts";

const USAGE = `Usage:
  bun run dead-letters list [--limit N] [--json]       the latest N (default 100), oldest first
  bun run dead-letters replay --all                    send back all that were not sent back yet
  bun run dead-letters replay --offset P:O …           send back some, by partition and offset
Options: --topic NAME (default order.created.dlq). KAFKA_BROKERS=host:port,… says where Kafka is;
KAFKA_SSL and KAFKA_SASL_MECHANISM, with what belongs to them, how to get in.`;
const LIMIT_MAX = 10_000;

const OPTIONS = {
  all: { type: "boolean", default: false },
  offset: { type: "string", multiple: true, default: [] as string[] },
  limit: { type: "string", default: "100" },
  json: { type: "boolean", default: false },
  topic: { type: "string", default: "order.created.dlq" },
} as const;

await runCommand(USAGE, main, describeError);

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parseCommand(args, OPTIONS);
  const [command, ...rest] = positionals;
  if (command === "list" && rest.length === 0) {
    const letters = await listDeadLetters(connect(), values.topic, limitOf(values.limit));
    print(letters, values.json);
    return;
  }
  if (command === "replay") {
    // `--offset 0:1 0:2` reads naturally, so the places may also follow one another.
    const places = [...values.offset, ...rest].map(placeOf);
    if (values.all === places.length > 0) throw new UsageError("replay needs --all or --offset");
    const result = await replayDeadLetters(connect(), values.topic, values.all ? "all" : places);
    for (const { partition, offset, reason } of result.skipped) {
      console.error(`${partition}:${offset} not replayed: ${reason}`);
    }
    console.log(`${result.replayed.length} dead letters replayed`);
    return;
  }
  throw new UsageError(command === undefined ? "no command given" : `unknown command ${command}`);
}

function connect() {
  return createKafka({
    connection: loadKafkaConfig(process.env),
    clientId: "orderflow-dead-letters",
  });
}

function print(letters: readonly DeadLetter[], asJson: boolean): void {
  if (asJson) {
    for (const letter of letters) console.log(JSON.stringify(letter));
    return;
  }
  if (letters.length === 0) console.log("no dead letters");
  for (const letter of letters) {
    const origin = `${letter.originalTopic ?? "?"} ${letter.originalPartition ?? "?"}:${letter.originalOffset ?? "?"}`;
    console.log(
      `${letter.partition}:${letter.offset}  ${letter.writtenAt}  key ${letter.key ?? "-"}  from ${origin}` +
        `  after ${letter.attempts ?? "?"} attempts${letter.isReplayed ? "  (replayed)" : ""}\n    ${letter.error ?? "no reason given"}`,
    );
  }
}

function limitOf(text: string): number {
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX) {
    throw new UsageError(`--limit has to be a number from 1 to ${LIMIT_MAX}`);
  }
  return limit;
}

function placeOf(text: string): LetterPlace {
  const match = /^(\d{1,10}):(\d{1,19})$/.exec(text);
  if (match === null) throw new UsageError(`${text} is not PARTITION:OFFSET`);
  return { partition: Number(match[1]), offset: String(match[2]) };
}
