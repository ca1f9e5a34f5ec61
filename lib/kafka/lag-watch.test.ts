// Tests of what the lag watch makes of Kafka's word and of what was fetched.
import { afterAll, expect, test } from "bun:test";
import type { Kafka } from "kafkajs";
import { startLagWatch, type LagWatchOptions } from "./lag-watch.ts";

const LIMITS = { intervalMs: 5, lookTimeoutMs: 50, tellAfterMs: 60, giveUpAfterMs: 200 };

const cleanUps: (() => unknown)[] = [];
afterAll(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

/** A watch on one partition of a Kafka that says what the test sets. */
function watching(options: Partial<LagWatchOptions> = {}) {
  const state = {
    end: 10n,
    committed: 10n,
    fetched: undefined as bigint | undefined,
    isHeldBack: false,
    answer: async () => {},
    stalled: [] as string[],
    looks: 0,
  };
  const admin = {
    connect: async () => {},
    disconnect: async () => {},
    async fetchTopicOffsets() {
      await state.answer();
      state.looks += 1;
      return [{ partition: 0, low: "0", high: String(state.end), offset: String(state.end) }];
    },
    async fetchOffsets() {
      return [
        {
          topic: "t",
          partitions: [{ partition: 0, offset: String(state.committed), metadata: null }],
        },
      ];
    },
  };
  const watch = startLagWatch({
    kafka: { admin: () => admin } as unknown as Kafka,
    groupId: "g",
    topic: "t",
    assigned: () => new Map([[0, state.fetched]]),
    isHeldBack: () => state.isHeldBack,
    onStalled: (error) => state.stalled.push(error.message),
    limits: LIMITS,
    ...options,
  });
  cleanUps.push(() => watch.stop());
  return { watch, state };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await Bun.sleep(2);
}

/** Lets the watch look so often that whatever it has to tell would be told. */
async function looks(state: { looks: number }, more = 40): Promise<void> {
  const wanted = state.looks + more;
  await until(() => state.looks >= wanted);
}

test.concurrent("a group that has finished everything has no problem", async () => {
  const { watch, state } = watching();
  await looks(state);
  expect(watch.problem).toBeUndefined();
});

test.concurrent(
  "records that are not fetched are told, and then the membership is begun anew",
  async () => {
    const { watch, state } = watching();
    state.end = 15n;
    await until(() => watch.problem !== undefined);
    expect(watch.problem).toMatch(
      /^fetches nothing from partition 0 for \d+ s, though records wait/,
    );
    await until(() => state.stalled.length > 0);
    expect(state.stalled[0]).toContain("nothing comes from partition 0");
  },
);

test.concurrent(
  "records that are fetched and still worked on are no problem, nor is a fetch that goes on",
  async () => {
    // Far longer than two looks take on a busy machine.
    const tellAfterMs = 600;
    const { watch, state } = watching({ limits: { ...LIMITS, tellAfterMs } });
    state.end = 15n;
    state.fetched = 15n;
    await looks(state);
    expect(watch.problem).toBeUndefined();
    // Never up to the end, but always further.
    state.end = 1_000n;
    const untilMs = performance.now() + 1.5 * tellAfterMs;
    for (let offset = 16n; performance.now() < untilMs; offset++) {
      state.fetched = offset;
      await looks(state, 2);
      expect(watch.problem).toBeUndefined();
    }
  },
);

test.concurrent("what is held back on purpose is no problem", async () => {
  const { watch, state } = watching();
  state.isHeldBack = true;
  state.end = 15n;
  await looks(state);
  expect(watch.problem).toBeUndefined();
});

test.concurrent("another member's partition is not this one's problem", async () => {
  const { watch, state } = watching({ assigned: () => new Map() });
  state.end = 15n;
  await looks(state);
  expect(watch.problem).toBeUndefined();
});

test.concurrent("a Kafka that does not answer is told, until it does", async () => {
  const { watch, state } = watching();
  await looks(state, 2);
  state.answer = () => new Promise(() => {});
  await until(() => watch.problem !== undefined);
  expect(watch.problem).toStartWith("Kafka does not say how far t is");
  state.answer = async () => {};
  await until(() => watch.problem === undefined);
});
