/** Kafka is down for long under load: orders are accepted, their events wait, and drain when it is back. */
import type { SQL } from "bun";
import { readBacklog } from "./books.ts";
import { check, type Check } from "./check.ts";
import { describeFault, takeDown, type Fault } from "./kills.ts";
import type { Load, PostedOrder } from "./load.ts";
import type { ChaosStack } from "./stack.ts";
import { inSeconds } from "../shared/figures.ts";
import { until } from "../shared/until.ts";

const LOOK_INTERVAL_MS = 1_000;
/** Before Kafka is back: what the services then say of themselves has had the whole outage to come true. */
const LAST_LOOK_MS = 1_000;
const DRAINED_WITHIN_MS = 120_000;
/** New orders keep coming while the backlog drains: so few rows are no backlog any more. */
const DRAINED_ROWS = 20;

/** @param seconds for how long Kafka is down */
export async function runKafkaOutage(
  stack: ChaosStack,
  seconds: number,
  load: Load,
  sql: SQL,
  tell: (line: string) => void,
): Promise<{ fault: Fault; checks: Check[] }> {
  tell(`kafka goes down for ${seconds} s`);
  let backlogMax = 0;
  const looking = setInterval(async () => {
    const { outboxRows } = await readBacklog(sql).catch(() => ({ outboxRows: 0 }));
    backlogMax = Math.max(backlogMax, outboxRows);
  }, LOOK_INTERVAL_MS);
  const lastLook = Bun.sleep(seconds * 1000 - LAST_LOOK_MS).then(() => stack.notReady());
  const killedAtMs = Date.now();
  const fault = await takeDown(stack, ["kafka"], [seconds * 1000]);
  tell(describeFault(fault));
  const drainedMs = await waitUntilDrained(sql, fault);
  clearInterval(looking);
  const during = load.posted.filter(
    ({ startMs }) => startMs >= killedAtMs && startMs <= fault.upAtMs,
  );
  return {
    fault,
    checks: [
      checkAccepted(during, seconds, backlogMax),
      checkReadiness(await lastLook),
      check(
        "the backlog drains",
        drainedMs === undefined ? "" : `${inSeconds(drainedMs)} after Kafka answered`,
        drainedMs === undefined ? [`not within ${DRAINED_WITHIN_MS / 1000} s`] : [],
      ),
    ],
  };
}

async function waitUntilDrained(sql: SQL, fault: Fault): Promise<number | undefined> {
  try {
    await until(
      "the outbox is drained",
      async () => (await readBacklog(sql)).outboxRows < DRAINED_ROWS,
      DRAINED_WITHIN_MS,
    );
    return Date.now() - fault.upAtMs;
  } catch {
    return undefined;
  }
}

function checkAccepted(during: readonly PostedOrder[], seconds: number, backlogMax: number): Check {
  const refused = during.filter(({ status }) => status !== 201);
  return check(
    `orders are accepted while Kafka is down for ${seconds} s`,
    `${during.length - refused.length} of ${during.length} posts, up to ${backlogMax} events waited`,
    [
      // Of nothing everything is true.
      ...(refused.length === during.length ? ["no order was accepted"] : []),
      ...refused.map(({ customerId, status, problem }) => {
        return `${customerId}: ${status ?? "no answer"} ${problem}`;
      }),
    ],
  );
}

/** @param notReady what the services said just before Kafka came back */
function checkReadiness(notReady: readonly string[]): Check {
  const others = notReady.filter((reason) => !reason.startsWith("worker "));
  return check(
    "only the worker is not ready without Kafka",
    notReady.map((reason) => reason.split(" ")[0]).join(", "),
    notReady.length > others.length ? others : [...others, "the worker says that it is ready"],
  );
}
