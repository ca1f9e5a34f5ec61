/** What must be true of the run itself: answers, restarts and ends. */
import { inSeconds } from "../shared/figures.ts";
import { check, type Check } from "./check.ts";
import type { Fault } from "./kills.ts";
import type { PostedOrder } from "./load.ts";
import type { ServiceEnd } from "./services.ts";

/** Contract: ready within so long of any start. */
const READY_WITHIN_MS = 20_000;
/** Contract: ended within so long of SIGTERM. */
const ENDED_WITHIN_MS = 8_000;
/** Without one of these an order cannot be accepted. The others' outages must not be noticed by customers. */
const NEEDED_TO_ACCEPT = new Set<string>(["gateway", "orders", "postgres"]);
/** How long an answer may suffer after all is ready again. */
const RECOVERED_WITHIN_MS = 1_000;

/** @param ends how the services took their SIGTERM */
export function checkRun(
  posted: readonly PostedOrder[],
  faults: readonly Fault[],
  ends: readonly ServiceEnd[],
  unexpectedEnds: readonly string[],
): Check[] {
  return [
    checkAnswers(posted, faults),
    checkUnnoticed(posted, faults),
    checkReady(faults),
    check(
      "SIGTERM ends a service with 0 within 8 s",
      `${ends.length} services, ${inSeconds(Math.max(0, ...ends.map(({ durationMs }) => durationMs)))} at most`,
      ends
        .filter(({ exitCode, durationMs }) => exitCode !== 0 || durationMs > ENDED_WITHIN_MS)
        .map(({ name, exitCode, durationMs }) => {
          return `${name} ended with ${exitCode} after ${inSeconds(durationMs)}`;
        }),
    ),
    check("nothing ends that was not killed", `${unexpectedEnds.length} ends`, unexpectedEnds),
  ];
}

function checkAnswers(posted: readonly PostedOrder[], faults: readonly Fault[]): Check {
  const counts = new Map<string, number>();
  for (const { status } of posted) {
    const key = String(status ?? "no answer");
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const allowed = new Set<number | undefined>([201, 502, 503, 504]);
  if (faults.length > 0) allowed.add(undefined);
  return check(
    "a post is answered 201, 502, 503, 504 or not at all",
    [...counts].map(([status, count]) => `${count} × ${status}`).join(", "),
    posted
      .filter(({ status }) => !allowed.has(status))
      .map(({ customerId, status, problem }) => `${customerId}: ${status} ${problem}`),
  );
}

function checkUnnoticed(posted: readonly PostedOrder[], faults: readonly Fault[]): Check {
  const noticed = faults.flatMap(({ outages, readyAtMs }) =>
    outages
      .filter(({ victim }) => NEEDED_TO_ACCEPT.has(victim))
      .map(({ killedAtMs }) => ({ killedAtMs, readyAtMs })),
  );
  const unaffected = posted.filter(
    ({ startMs, endMs }) =>
      !noticed.some(
        ({ killedAtMs, readyAtMs }) =>
          startMs <= readyAtMs + RECOVERED_WITHIN_MS && endMs >= killedAtMs,
      ),
  );
  return check(
    "all are accepted while gateway, orders, postgres are up",
    `${unaffected.length} posts`,
    unaffected
      .filter(({ status }) => status !== 201)
      .map(({ customerId, startMs, status, problem }) => {
        const time = new Date(startMs).toISOString();
        return `${customerId} at ${time}: ${status ?? "no answer"} ${problem}`;
      }),
  );
}

function checkReady(faults: readonly Fault[]): Check {
  const worst = faults.toSorted((a, b) => tookMs(b) - tookMs(a))[0];
  const restarts = faults.reduce((sum, { outages }) => sum + outages.length, 0);
  return check(
    "all are ready within 20 s of each restart",
    `${restarts} restarts${worst ? `, ${inSeconds(tookMs(worst))} at most (${victimsOf(worst)})` : ""}`,
    faults
      .filter((fault) => fault.problem !== undefined || tookMs(fault) > READY_WITHIN_MS)
      .map((fault) => {
        return `after ${victimsOf(fault)}: ${inSeconds(tookMs(fault))} ${fault.problem ?? ""}`;
      }),
  );
}

function victimsOf({ outages }: Fault): string {
  return outages.map(({ victim }) => victim).join(" and ");
}

function tookMs({ upAtMs, readyAtMs }: Fault): number {
  return readyAtMs - upAtMs;
}
