// bun run bench versions FOLDER: this checkout's services beside those of another checkout, in turns of
// a few seconds, so that what the machine does meanwhile meets both alike.
import { join, resolve } from "node:path";
import { startServices, type RunningServices } from "#lib/embedded/services.ts";
import { parseCommand, wholeNumber } from "../shared/command-line.ts";
import { percent, showSpread, spreadOf, whole } from "../shared/figures.ts";
import { figuresTable } from "../shared/markdown-table.ts";
import { allSettled, measureSettling, ORDER_BODIES, usageOfAll, usageSince } from "./flow.ts";
import {
  startInfrastructure,
  startSpanSink,
  stopOnSignal,
  type BenchDatabase,
} from "./infrastructure.ts";
import { sendLoad, type Load } from "./load.ts";

interface Settings {
  /** Turns that each side gets. */
  rounds: number;
  /** Length of the load with POSTs in a turn. */
  seconds: number;
  /** How many orders pile up before the worker settles them. */
  orders: number;
  isTelemetryOff: boolean;
}

/** One checkout's services, with servers of their own. */
interface Side {
  readonly services: RunningServices;
  readonly database: BenchDatabase;
}

/** Figures of one turn by name. */
type Turn = Map<string, number>;

const CONNECTIONS = { few: 16, many: 64 };
const WARM_UP = { seconds: 10, rounds: 2 };
const EMAIL_DELAY_MS = "50-200";

/** Runs the turns and prints the table. @param args see the usage text */
export async function benchVersions(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseCommand([...args], {
    rounds: { type: "string" },
    seconds: { type: "string" },
    orders: { type: "string" },
    off: { type: "boolean" },
  });
  const [folder, ...more] = positionals;
  if (!folder || more.length > 0) throw new Error("give the folder of the other checkout");
  if (process.env["KAFKA_BROKERS"]) {
    throw new Error("each side needs brokers of its own: run it without KAFKA_BROKERS");
  }
  const settings: Settings = {
    rounds: wholeNumber("rounds", values.rounds, 8, { min: 1, max: 100 }),
    seconds: wholeNumber("seconds", values.seconds, 4, { min: 1, max: 600 }),
    orders: wholeNumber("orders", values.orders, 3_000, { min: 100, max: 100_000 }),
    isTelemetryOff: values.off === true,
  };
  const sides: Side[] = [];
  await using undo = new AsyncDisposableStack();
  stopOnSignal(() => undo.disposeAsync());
  for (const checkout of [undefined, resolve(folder)]) {
    sides.push(await startSide(checkout, settings, undo));
  }
  const turns: [Turn[], Turn[]] = [[], []];
  for (const side of sides) await sendLoad(posts(side, CONNECTIONS.many, WARM_UP.seconds));
  for (let round = 1 - WARM_UP.rounds; round <= settings.rounds; round++) {
    const isWarm = round > 0;
    if (isWarm) console.error(`round ${round}/${settings.rounds}`);
    const order: readonly (0 | 1)[] = round % 2 === 0 ? [0, 1] : [1, 0];
    for (const index of order) {
      const turn = await measureTurn(sides[index]!, settings);
      if (isWarm) turns[index].push(turn);
    }
  }
  print(turns, settings);
}

/**
 * @param checkout its folder; undefined for this one
 * @param undo what ends it is put there, bit by bit
 * @throws Error where it does not start
 */
async function startSide(
  checkout: string | undefined,
  settings: Settings,
  undo: AsyncDisposableStack,
): Promise<Side> {
  const infrastructure = await startInfrastructure();
  undo.defer(() => infrastructure.stop());
  const sink = await startSpanSink();
  undo.defer(() => sink.stop());
  const migrations = checkout && join(checkout, "migrations");
  const database = await infrastructure.createDatabase("versions", migrations);
  const services = await startServices({
    ...(checkout && { checkout }),
    postgresUrl: database.url,
    kafkaBrokers: infrastructure.kafkaBrokers,
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
      OTEL_SDK_DISABLED: String(settings.isTelemetryOff),
      EMAIL_DELAY_MS,
    },
  });
  undo.defer(() => services.stop());
  return { services, database };
}

function posts({ services }: Side, connections: number, seconds: number): Load {
  const url = `${services.urls.gateway}/orders`;
  return { url, method: "POST", bodies: ORDER_BODIES, connections, seconds };
}

async function measureTurn(side: Side, settings: Settings): Promise<Turn> {
  const { services, database } = side;
  const turn: Turn = new Map();
  let orders = 0;
  const post = async (connections: number, seconds: number) => {
    const { perSecond, answered, statuses } = await sendLoad(posts(side, connections, seconds));
    if (statuses["201"] !== answered) throw new Error(JSON.stringify(statuses));
    orders += answered;
    return { perSecond, answered };
  };
  const before = await usageOfAll(services, database.url);
  const { perSecond } = await post(CONNECTIONS.few, settings.seconds);
  turn.set(`POST /orders a second, ${CONNECTIONS.few} connections`, perSecond);
  await allSettled(database.sql);
  const settled = await measureSettling(
    services,
    database.sql,
    async () => (await post(CONNECTIONS.many, 1)).answered,
    settings.orders,
  );
  turn.set("orders settled a second", settled.perSecond);
  const usage = usageSince(before, await usageOfAll(services, database.url));
  for (const [name, { cpuSeconds }] of usage) {
    turn.set(`CPU ms an order, ${name}`, (cpuSeconds * 1000) / orders);
  }
  return turn;
}

function show(value: number): string {
  return value < 100 ? value.toFixed(2) : whole(value);
}

function print([ours, theirs]: [Turn[], Turn[]], settings: Settings): void {
  console.log(
    `\n${settings.rounds} rounds, each side in turn, telemetry ${settings.isTelemetryOff ? "off" : "on"},` +
      ` Bun ${Bun.version}. Median (lowest to highest); the ratio is round by round.\n`,
  );
  const rows = [...(ours[0]?.keys() ?? [])].map((name) => {
    const of = (turns: Turn[]) => turns.map((turn) => turn.get(name) ?? Number.NaN);
    const others = of(theirs);
    const ratios = of(ours).map((value, round) => value / (others[round] ?? Number.NaN));
    return [
      name,
      showSpread(spreadOf(of(ours)), show),
      showSpread(spreadOf(others), show),
      showSpread(spreadOf(ratios), percent),
    ];
  });
  console.log(figuresTable(["", "this checkout", "the other", "ratio"], rows));
}
