// Orders on the command line: which ones nobody settles, and another try for those whose event got lost.
import { createKafka } from "#lib/kafka/client.ts";
import { loadKafkaConfig } from "#lib/kafka/config.ts";
import { describeError, isKafkaError } from "#lib/kafka/errors.ts";
import { ConfigError, databaseConfig } from "#lib/service/config.ts";
import { openDatabase } from "#lib/service/database.ts";
import { SERVICE_NAMESPACE } from "#lib/service/services.ts";
import { startTelemetry } from "#lib/telemetry/index.ts";
import { errorText } from "#lib/telemetry/error-text.ts";
import packageJson from "../package.json" with { type: "json" };
import {
  locateOverdueOrders,
  ORDERS_MAX,
  republishOrders,
  type LocatedOrder,
} from "../services/orders/republish.ts";
import { createOrderRepository } from "../services/orders/repository.ts";
import { parseCommand, runCommand, UsageError } from "./shared/command-line.ts";

const USAGE = `Usage:
  bun run orders list [--json]            the orders that have been pending for too long and have no event in the
                                          outbox, and where their event is
  bun run orders republish [--dry-run]    put the events that are nowhere into the outbox again
Options: --older-than SECONDS (default 300). The variables of the orders service say where the servers are.
With OTEL_EXPORTER_OTLP_ENDPOINT set, each event that is republished begins a trace of its own.`;
const OLDER_THAN_SECONDS = { default: 300, max: 315_360_000 };
const FLUSH_TIMEOUT_MS = 2_000;

const OPTIONS = {
  "older-than": { type: "string", default: String(OLDER_THAN_SECONDS.default) },
  "dry-run": { type: "boolean", default: false },
  json: { type: "boolean", default: false },
} as const;

await runCommand(USAGE, main, describe);

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parseCommand(args, OPTIONS);
  const [command, ...rest] = positionals;
  if ((command !== "list" && command !== "republish") || rest.length > 0) {
    throw new UsageError(command === undefined ? "no command given" : `unknown: ${args.join(" ")}`);
  }
  if (values["dry-run"] && command === "list") throw new UsageError("list changes nothing anyway");
  if (values.json && command === "republish") throw new UsageError("--json is for list");
  const olderThanSeconds = secondsOf(values["older-than"]);
  const name = "orders-republish";
  const database = openDatabase(databaseConfig(process.env), name);
  const connection = loadKafkaConfig(process.env);
  const kafka = createKafka({ connection, clientId: name });
  // Without a collector there is no trace that the worker's spans could belong to: it begins one itself.
  const { version } = packageJson;
  const telemetry = process.env["OTEL_EXPORTER_OTLP_ENDPOINT"]
    ? startTelemetry({ name, version, namespace: SERVICE_NAMESPACE }, process.env)
    : undefined;
  try {
    const orders = createOrderRepository(database.sql);
    const located = await locateOverdueOrders({ orders, kafka, olderThanSeconds });
    if (values.json) {
      for (const order of located) console.log(JSON.stringify(order));
      return;
    }
    print(located, olderThanSeconds);
    if (command === "list") return;
    if (values["dry-run"]) {
      const count = located.filter(({ event }) => event.kind === "nowhere").length;
      console.log(`${count} events would be put into the outbox again`);
      return;
    }
    const republished = await republishOrders(orders, located);
    console.log(`${republished.length} events put into the outbox again`);
  } finally {
    await telemetry?.shutdown(FLUSH_TIMEOUT_MS);
    await database.close();
  }
}

function print(located: readonly LocatedOrder[], olderThanSeconds: number): void {
  if (located.length === 0) {
    console.log(
      `no order has been pending for over ${olderThanSeconds} s without an event in the outbox`,
    );
  }
  for (const order of located) {
    console.log(`${order.id}  pending since ${order.createdAt}  ${placeText(order)}`);
  }
  if (located.length === ORDERS_MAX) {
    console.log(`these are the ${ORDERS_MAX} oldest; republish them, and run it again for more`);
  }
}

function placeText({ event }: LocatedOrder): string {
  switch (event.kind) {
    case "nowhere":
      return "its event is nowhere";
    case "behind the lag":
      return `its event waits for the worker at ${event.partition}:${event.offset}`;
    case "dead letter":
      return `its event is a dead letter: bun run dead-letters replay --offset ${event.partition}:${event.offset}`;
  }
}

function secondsOf(text: string): number {
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds <= OLDER_THAN_SECONDS.max)) {
    throw new UsageError(
      `--older-than has to be a number of seconds from 0 to ${OLDER_THAN_SECONDS.max}`,
    );
  }
  return seconds;
}

/** What our own errors say is for a person; the cause tells what is wrong with the server. */
function describe(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  if (isKafkaError(error)) return describeError(error);
  const { cause } = error as { cause?: unknown };
  return cause === undefined ? errorText(error) : `${errorText(error)} (${errorText(cause)})`;
}
