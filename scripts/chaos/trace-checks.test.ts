import { describe, expect, test } from "bun:test";
import type { BookedOrder } from "./books.ts";
import type { Check } from "./check.ts";
import type { Fault } from "./kills.ts";
import type { PostedOrder } from "./load.ts";
import type { VictimName } from "./victims.ts";
import { checkTraces } from "./trace-checks.ts";

const POSTED_AT_MS = 100_000;
const SETTLED_AT_MS = 101_000;

// An order of which no span arrived: its gateway's, orders' and worker's parts are missing.
describe("an order without any span", () => {
  test("is a breach where nothing was killed", () => {
    expect(breachesAfter([])).toHaveLength(3);
  });

  test("is explained part by part: a kill of the worker excuses the worker's spans only", () => {
    const breaches = breachesAfter([outage("worker", 101_500)]);
    expect(breaches.join()).not.toContain("process order.created");
    expect(breaches).toHaveLength(2);
  });

  test("is not explained by a worker's kill before the settling: its next life settled the order", () => {
    expect(breachesAfter([outage("worker", 100_500)])).toHaveLength(3);
  });

  test("is not explained by an outage of the trace receiver that was over before the settling", () => {
    const breaches = breachesAfter([outage("traces", 98_500)]);
    expect(breaches).toHaveLength(1);
    expect(breaches.join()).toContain("process order.created");
  });

  test("is told with the service that held what is missing, and whose death took it", () => {
    const { count } = checkAfter([outage("worker", 101_500)]);
    expect(count).toEndWith("explained gaps: worker 1");
    expect(checkAfter([outage("traces", 100_500)]).count).toEndWith(
      "explained gaps: gateway by traces 1, orders by traces 1, worker by traces 1",
    );
  });

  test("is not explained by a kill before it was posted, nor by one long after it was settled", () => {
    expect(breachesAfter([outage("worker", 99_000)])).toHaveLength(3);
    expect(breachesAfter([outage("worker", 110_000)])).toHaveLength(3);
  });

  test("is not explained by a kill of what makes no spans", () => {
    expect(breachesAfter([outage("kafka", 100_500), outage("postgres", 100_500)])).toHaveLength(3);
  });

  test("is explained by an outage of the trace receiver, and by no later one", () => {
    expect(breachesAfter([outage("traces", 100_500)])).toEqual([]);
    expect(breachesAfter([outage("traces", 120_000)])).toHaveLength(3);
  });

  test("is explained by a late kill where its spans waited for the trace receiver", () => {
    const receiver = outage("traces", 97_000);
    expect(breachesAfter([receiver])).toHaveLength(3);
    expect(breachesAfter([receiver, outage("worker", 110_000)])).toHaveLength(2);
  });
});

function breachesAfter(faults: readonly Fault[]): readonly string[] {
  return checkAfter(faults).breaches;
}

function checkAfter(faults: readonly Fault[]): Check {
  const post: PostedOrder = {
    customerId: "c",
    items: [],
    expected: "confirmed",
    traceId: "t",
    startMs: POSTED_AT_MS,
    endMs: POSTED_AT_MS + 10,
    status: 201,
    orderId: "o",
  };
  const order: BookedOrder = {
    id: "o",
    customerId: "c",
    status: "confirmed",
    updatedAtMs: SETTLED_AT_MS,
    quantities: new Map(),
  };
  const [traces] = checkTraces([post], [order], new Map(), faults, new Map());
  if (!traces) throw new Error("there is no check");
  return traces;
}

function outage(victim: VictimName, killedAtMs: number): Fault {
  const upAtMs = killedAtMs + 2_000;
  return { outages: [{ victim, killedAtMs, upAtMs }], upAtMs, readyAtMs: killedAtMs + 3_000 };
}
