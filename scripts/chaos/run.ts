/** A chaos run, from the first order to the verdicts. */
import { SQL } from "bun";
import { statSync } from "node:fs";
import {
  readBacklog,
  readBooks,
  readPieces,
  readTopics,
  stockItems,
  type Backlog,
} from "./books.ts";
import { watchBusyness } from "./busyness.ts";
import { check, type Check } from "./check.ts";
import { runKafkaOutage } from "./kafka-outage.ts";
import { planKills, runKills, type Fault } from "./kills.ts";
import { startLoad, type Load, type PostedOrder } from "./load.ts";
import { checkMails, readMails } from "./mail-checks.ts";
import type { ChaosOptions } from "./options.ts";
import { checkOrders } from "./order-checks.ts";
import { stockFor } from "./order-mix.ts";
import { createRandom } from "./random.ts";
import { checkReadiness } from "./readiness.ts";
import { readSpans } from "./kept-span.ts";
import { checkRun } from "./run-checks.ts";
import { checkScaling, scaleWorkers } from "./scale-workers.ts";
import type { ServiceEnd } from "./services.ts";
import type { ChaosStack } from "./stack.ts";
import { checkTraces, describeRetries } from "./trace-checks.ts";
import { until } from "../shared/until.ts";
import { CLUSTER_VICTIMS, VICTIMS } from "./victims.ts";

/** The load goes on while kills do, up to so many times the orders asked for. */
const ORDERS_FACTOR_MAX = 4;
/** The worker's retries last a minute; an outage before them, and a long backlog, come on top. */
const SETTLED_WITHIN_MS = 240_000;
const SETTLED_POLL_MS = 1_000;
const PROGRESS_INTERVAL_MS = 5_000;
const SPANS_QUIET_MS = 2_000;
const SPANS_WITHIN_MS = 30_000;

/** @param say told of what happens, one line each */
export async function runChaos(
  stack: ChaosStack,
  options: ChaosOptions,
  say: (line: string) => void,
): Promise<Check[]> {
  const { seed, orders, seconds } = options;
  const startedMs = performance.now();
  const tell = (line: string) => {
    const second = Math.round((performance.now() - startedMs) / 1000);
    say(`${String(second).padStart(4)} s  ${line}`);
  };
  const busyness = watchBusyness();
  const sql = new SQL({ url: stack.postgresUrl, max: 2, connectionTimeout: 5 });
  try {
    await stockItems(sql, stockFor(orders, orders * ORDERS_FACTOR_MAX));
    const pieces = await readPieces(sql);
    const load = startLoad({
      url: stack.gatewayUrl,
      seed,
      // A sequence of its own: the orders of a seed are the same whatever is killed.
      random: createRandom(seed),
      rate: orders / seconds,
      orders,
      ordersMax: orders * ORDERS_FACTOR_MAX,
    });
    const progress = tellProgress(sql, load, tell);
    const disturbed = await disturb(stack, options, load, sql, tell).finally(() => load.stop());
    tell(`load over: ${describePosts(load.posted)}`);
    const settleMs = await waitUntilSettled(stack, sql, tell).finally(() => progress.stop());
    await waitUntilSpansAreQuiet(stack);
    const ends = await stack.stopServices();

    const books = await readBooks(sql, stack.brokers);
    const traces = await readSpans(stack.spanFiles);
    const { faults } = disturbed;
    tell(`orders whose trace shows more than one try: ${describeRetries(traces)}`);
    return [
      check(
        "all comes to rest",
        settleMs === undefined ? "" : `${(settleMs / 1000).toFixed(0)} s after the last order`,
        settleMs === undefined
          ? [`something is still to be done after ${SETTLED_WITHIN_MS / 1000} s`]
          : [],
      ),
      ...checkOrders(load.posted, books, pieces),
      ...checkMails(await readMails(stack.mailLogs), books.orders),
      ...checkTraces(load.posted, books.orders, traces, faults, stack.serviceAtPort),
      ...checkRun(load.posted, faults, [...disturbed.ends, ...ends], stack.unexpectedEnds),
      ...(options.cluster ? [checkReadiness(faults)] : []),
      ...(options.scaleWorkers
        ? [checkScaling(isQuiet(options), books.orders, load.posted, traces)]
        : []),
      ...disturbed.checks,
    ];
  } finally {
    tell(busyness.end());
    await sql.close({ timeout: 1 });
  }
}

interface Disturbance {
  readonly faults: Fault[];
  /** How the workers that came and went took their SIGTERM. */
  readonly ends: ServiceEnd[];
  readonly checks: Check[];
}

/** Everything that goes on beside the load; it is over when the load may end. */
async function disturb(
  stack: ChaosStack,
  options: ChaosOptions,
  load: Load,
  sql: SQL,
  tell: (line: string) => void,
): Promise<Disturbance> {
  const { seed, seconds, kills, kafkaOutageSeconds } = options;
  const random = createRandom(seed + 1);
  const faults: Fault[] = [];
  const checks: Check[] = [];
  if (kafkaOutageSeconds > 0) {
    const outage = await runKafkaOutage(stack, kafkaOutageSeconds, load, sql, tell);
    faults.push(outage.fault);
    checks.push(...outage.checks);
  }
  const scaling = options.scaleWorkers ? scaleWorkers(stack, seconds, tell) : Promise.resolve([]);
  const plan = planKills(random, kills, options.cluster ? CLUSTER_VICTIMS : VICTIMS);
  if (kills > 0) {
    faults.push(...(await runKills(stack, random, plan, seconds, tell)));
  }
  const ends = await scaling;
  await load.planned;
  return { faults, ends, checks };
}

function tellProgress(sql: SQL, load: Load, tell: (line: string) => void): { stop(): void } {
  const look = async () => {
    const backlog = await readBacklog(sql).catch(() => undefined);
    tell(`${describePosts(load.posted)}; ${describeBacklog(backlog)}`);
  };
  const timer = setInterval(look, PROGRESS_INTERVAL_MS);
  return { stop: () => clearInterval(timer) };
}

function describePosts(posted: readonly PostedOrder[]): string {
  const accepted = posted.filter(({ status }) => status === 201).length;
  return `${posted.length} posted, ${accepted} accepted`;
}

function describeBacklog(backlog: Backlog | undefined): string {
  if (!backlog) return "the database does not answer";
  return `${backlog.pendingOrders} pending, ${backlog.outboxRows} in the outbox`;
}

/** @returns how long it took, or undefined where it is still not done */
async function waitUntilSettled(
  stack: ChaosStack,
  sql: SQL,
  tell: (line: string) => void,
): Promise<number | undefined> {
  const startedMs = performance.now();
  try {
    await until(
      "all is settled",
      async () => {
        const { pendingOrders, outboxRows } = await readBacklog(sql);
        if (pendingOrders > 0 || outboxRows > 0) return false;
        return (await readTopics(stack.brokers)).recordsBehind === 0;
      },
      SETTLED_WITHIN_MS,
      SETTLED_POLL_MS,
    );
    const durationMs = performance.now() - startedMs;
    tell("settled");
    return durationMs;
  } catch {
    tell("NOT settled");
    return undefined;
  }
}

async function waitUntilSpansAreQuiet({ spanFiles }: ChaosStack): Promise<void> {
  const file = spanFiles.at(-1) ?? "";
  let size = -1;
  let changedMs = performance.now();
  await until(
    "no more spans come",
    () => {
      const now = statSync(file).size;
      if (now !== size) changedMs = performance.now();
      size = now;
      return performance.now() - changedMs > SPANS_QUIET_MS;
    },
    SPANS_WITHIN_MS,
  );
}

function isQuiet({ kills, kafkaOutageSeconds }: ChaosOptions): boolean {
  return kills === 0 && kafkaOutageSeconds === 0;
}
