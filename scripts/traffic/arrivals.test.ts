import { expect, test } from "bun:test";
import { startArrivals } from "./arrivals.ts";

test("come at their rate, though none of them is answered", async () => {
  const due: number[] = [];
  const never = Promise.withResolvers<void>();
  const startedMs = performance.now();
  const arrivals = startArrivals({
    rate: 100,
    countMax: 20,
    inFlightMax: 100,
    arrive: (_, dueMs) => {
      due.push(dueMs);
      return never.promise;
    },
  });
  while (arrivals.begun < 20) await Bun.sleep(1);
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(180);
  expect(arrivals.inFlight).toBe(20);
  for (const [index, dueMs] of due.entries()) {
    expect(dueMs - (due[0] ?? 0)).toBeCloseTo(index * 10, 3);
  }
  never.resolve();
  await arrivals.stop();
});

test("wait above the bound, and count their time from when they came", async () => {
  const waits: number[] = [];
  let most = 0;
  const arrivals = startArrivals({
    rate: 1_000,
    countMax: 40,
    inFlightMax: 2,
    arrive: async (_, dueMs) => {
      waits.push(performance.now() - dueMs);
      most = Math.max(most, arrivals.inFlight + 1);
      await Bun.sleep(10);
    },
  });
  while (arrivals.begun < 40) await Bun.sleep(1);
  await arrivals.stop();
  expect(most).toBe(2);
  // 40 that take 10 ms each, two at a time, are 200 ms of work that came within 40 ms.
  expect(waits.at(-1)).toBeGreaterThan(100);
});

test("end at once when they are told to", async () => {
  const arrivals = startArrivals({
    rate: 1_000,
    countMax: 1_000_000,
    inFlightMax: 4,
    arrive: () => Bun.sleep(1),
  });
  await Bun.sleep(20);
  await arrivals.stop();
  const { begun } = arrivals;
  await Bun.sleep(30);
  expect(arrivals.begun).toBe(begun);
  expect(arrivals.inFlight).toBe(0);
});
