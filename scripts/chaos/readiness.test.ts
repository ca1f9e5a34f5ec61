import { expect, test } from "bun:test";
import { until } from "../shared/until.ts";
import { checkReadiness, watchReadiness, type Unready } from "./readiness.ts";

function faultWith(...unready: Unready[]) {
  const outage = { victim: "leader", killedAtMs: 0, upAtMs: 40_000 } as const;
  return { outages: [outage], upAtMs: 40_000, readyAtMs: 41_000, unready };
}

function unready(service: string, durationMs: number): Unready {
  return { service, reason: `${service} {}`, fromMs: 1_000, toMs: 1_000 + durationMs };
}

test("the worker may be not ready while a node is away, but not for long", () => {
  expect(checkReadiness([faultWith(unready("worker", 29_000))]).breaches).toEqual([]);
  expect(checkReadiness([faultWith(unready("worker", 31_000))]).breaches).toEqual([
    "leader: for 31.0 s worker {}",
  ]);
});

test("nobody else may, and some late answers are no proof", () => {
  expect(checkReadiness([faultWith(unready("orders", 7_000))]).breaches).toEqual([]);
  expect(checkReadiness([faultWith(unready("orders", 9_000))]).breaches).toHaveLength(1);
});

test("faults of something else are not looked at", () => {
  const other = { outages: [], upAtMs: 0, readyAtMs: 0 };
  expect(checkReadiness([other]).count).toStartWith("0 faults");
});

test("a watch tells from when to when a service was not ready", async () => {
  let looks = 0;
  const watch = watchReadiness({
    notReady: async () => (++looks === 2 || looks === 3 ? ["worker {kafka}"] : []),
  });
  await until("it has looked four times", () => looks >= 4, 10_000);
  const seen = await watch.end();
  expect(seen).toMatchObject([{ service: "worker", reason: "worker {kafka}" }]);
  expect((seen[0]?.toMs ?? 0) - (seen[0]?.fromMs ?? 0)).toBeGreaterThanOrEqual(400);
});

test("a service that is still not ready at the end is told too", async () => {
  const watch = watchReadiness({ notReady: async () => ["worker {kafka}"] });
  expect(await watch.end()).toMatchObject([{ service: "worker" }]);
});
