// Tests of one record's life: tries, dead letters, giving back.
import { expect, spyOn, test } from "bun:test";
import type { ConsumedRecord } from "./owned-record.ts";
import { AbandonedError, UnprocessableRecordError } from "./errors.ts";
import { Outage } from "./outage.ts";
import {
  handleRecord,
  type HandlingContext,
  type Outcome,
  type RecordHandlingOptions,
} from "./record-handling.ts";
import { Slots } from "#lib/waiting/slots.ts";

class UnavailableError extends Error {
  readonly retryable = true;
}

const record: ConsumedRecord = {
  topic: "order.created",
  partition: 0,
  offset: "0",
  key: null,
  value: null,
  headers: {},
  timestamp: "0",
};

/** Handles one record, with short waits; tells how it ended and what was buried. */
function handling(
  handle: (context: HandlingContext) => Promise<void>,
  changes: Partial<RecordHandlingOptions> = {},
) {
  const buried: { error: unknown; attempts: number }[] = [];
  const done = Promise.withResolvers<Outcome>();
  const options: RecordHandlingOptions = {
    groupId: "test",
    handle: (_, context) => handle(context),
    slots: new Slots(1),
    outage: undefined,
    backoff: { initialMs: 1, maxMs: 5 },
    retryLimitMs: 60_000,
    sendDeadLetter: (_, failure) => Promise.resolve(void buried.push(failure)),
    onDeadLetterFailure: () => {},
    ...changes,
  };
  const inHand = handleRecord(record, options, done.resolve);
  return { inHand, buried, outcome: done.promise, slots: options.slots };
}

/** A handler whose only step fails the first `times` times. */
function failing(times: number, error: unknown = new UnavailableError("503")) {
  let failures = 0;
  return async (context: HandlingContext) => {
    while (failures < times) {
      failures += 1;
      await context.retry(error);
    }
  };
}

test("a failure that passes is tried again until it does", async () => {
  const attempts: number[] = [];
  const fail = failing(3);
  const { outcome, buried, slots } = handling(async (context) => {
    attempts.push(context.attempts);
    await fail(context);
    attempts.push(context.attempts);
  });
  expect(await outcome).toBe("finished");
  expect(attempts).toEqual([1, 4]);
  expect(buried).toEqual([]);
  await slots.idle();
});

test("a failure that will not pass becomes a dead letter at once", async () => {
  const error = new UnprocessableRecordError("no JSON");
  const { outcome, buried } = handling((context) => context.retry(error));
  expect(await outcome).toBe("finished");
  expect(buried).toEqual([{ error, attempts: 1 }]);
});

test("an error nobody foresaw becomes a dead letter, also when it is no Error", async () => {
  const { outcome, buried } = handling(() => Promise.reject("odd"));
  expect(await outcome).toBe("finished");
  expect(buried).toEqual([{ error: "odd", attempts: 1 }]);
});

test("what keeps failing becomes a dead letter, but not before the limit", async () => {
  const error = new UnavailableError("503");
  const startedMs = performance.now();
  const { outcome, buried } = handling(failing(Infinity, error), { retryLimitMs: 50 });
  expect(await outcome).toBe("finished");
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(49);
  expect(buried).toHaveLength(1);
  expect(buried[0]?.error).toBe(error);
  expect(buried[0]?.attempts).toBeGreaterThan(2);
});

test("a step that fails after another one succeeded has the whole limit for itself", async () => {
  const { outcome, buried } = handling(
    async (context) => {
      await failing(2)(context);
      context.succeeded();
      await Bun.sleep(60); // the limit since the first step's failure has passed
      await failing(2)(context);
    },
    { retryLimitMs: 50 },
  );
  expect(await outcome).toBe("finished");
  expect(buried).toEqual([]);
});

test("the waits of a step begin short, however long those of an earlier one had become", async () => {
  const random = spyOn(Math, "random").mockReturnValue(0);
  try {
    const { outcome } = handling(
      async (context) => {
        await failing(30)(context);
        context.succeeded();
        random.mockReturnValue(1); // the whole of the bound: 1 ms, or 2 ** 30 ms
        await failing(1)(context);
      },
      { backoff: { initialMs: 1, maxMs: 3_600_000 } },
    );
    expect(await outcome).toBe("finished");
  } finally {
    random.mockRestore();
  }
});

test("a dead letter counts the tries of all steps", async () => {
  const { outcome, buried } = handling(async (context) => {
    await failing(2)(context);
    context.succeeded();
    await failing(1)(context);
    throw new Error("poison");
  });
  expect(await outcome).toBe("finished");
  expect(buried[0]?.attempts).toBe(4);
});

test("a record that waits for its next try leaves its slot to others", async () => {
  const slots = new Slots(1);
  const waiting = Promise.withResolvers<void>();
  const first = handling(
    async (context) => {
      const retried = context.retry(new UnavailableError("503"));
      waiting.resolve();
      await retried;
    },
    { slots, backoff: { initialMs: 3_600_000, maxMs: 3_600_000 }, retryLimitMs: 3_600_000 },
  );
  await waiting.promise;
  expect(await handling(() => Promise.resolve(), { slots }).outcome).toBe("finished");
  first.inHand.abandon("test over");
  expect(await first.outcome).toBe("abandoned");
});

test("steps that fail side by side take one slot between them", async () => {
  const { outcome, slots } = handling(async (context) => {
    await Promise.all([failing(2)(context), failing(3)(context), failing(1)(context)]);
    expect(slots.taken).toBe(1);
  });
  expect(await outcome).toBe("finished");
  expect(slots.taken).toBe(0);
});

test("a record given back while it waits is neither finished nor buried, and retries no more", async () => {
  const waiting = Promise.withResolvers<HandlingContext>();
  const { inHand, outcome, buried } = handling(
    async (context) => {
      const retried = context.retry(new UnavailableError("503"));
      waiting.resolve(context);
      await retried;
    },
    { backoff: { initialMs: 3_600_000, maxMs: 3_600_000 } },
  );
  const context = await waiting.promise;
  inHand.abandon("its partition was reassigned");
  expect(await outcome).toBe("abandoned");
  expect(buried).toEqual([]);
  expect(context.signal.aborted).toBeTrue();
  await expect(context.retry(new UnavailableError("503"))).rejects.toBeInstanceOf(AbandonedError);
});

test("a record given back before its turn is never started", async () => {
  const slots = new Slots(1);
  const endHold = slots.hold();
  let isStarted = false;
  const { inHand, outcome } = handling(() => Promise.resolve(void (isStarted = true)), { slots });
  inHand.abandonBeforeWaiting("the consumer stops");
  endHold();
  expect(await outcome).toBe("abandoned");
  expect(isStarted).toBeFalse();
});

test("when the consumer stops, active work may finish", async () => {
  const started = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const { inHand, outcome } = handling(() => {
    started.resolve();
    return finish.promise;
  });
  await started.promise;
  inHand.abandonBeforeWaiting("the consumer stops");
  finish.resolve();
  expect(await outcome).toBe("finished");
});

test("when the consumer stops, active work that fails is given back instead of waiting", async () => {
  const started = Promise.withResolvers<void>();
  const proceed = Promise.withResolvers<void>();
  const { inHand, outcome, buried } = handling(async (context) => {
    started.resolve();
    await proceed.promise;
    await context.retry(new UnavailableError("503"));
  });
  await started.promise;
  inHand.abandonBeforeWaiting("the consumer stops");
  proceed.resolve();
  expect(await outcome).toBe("abandoned");
  expect(buried).toEqual([]);
});

test("a dead letter that cannot be written is tried until it can", async () => {
  let tries = 0;
  const failures: unknown[] = [];
  const { outcome } = handling(() => Promise.reject(new Error("poison")), {
    sendDeadLetter: () => (++tries < 4 ? Promise.reject(new Error("down")) : Promise.resolve()),
    onDeadLetterFailure: (error) => failures.push(error),
  });
  expect(await outcome).toBe("finished");
  expect(tries).toBe(4);
  expect(failures).toHaveLength(3);
});

test("a record whose dead letter could not be written is not finished when the consumer stops", async () => {
  const failed = Promise.withResolvers<unknown>();
  const { inHand, outcome } = handling(() => Promise.reject(new Error("poison")), {
    sendDeadLetter: () => Promise.reject(new Error("down")),
    onDeadLetterFailure: failed.resolve,
  });
  await failed.promise;
  inHand.abandonBeforeWaiting("the consumer stops");
  expect(await outcome).toBe("abandoned");
});

test("while a dependency is down nothing is given up, and the time does not count", async () => {
  let probes = 0;
  const events: string[] = [];
  const consumer = new AbortController();
  let nowMs = 0;
  using _ = spyOn(performance, "now").mockImplementation(() => nowMs);
  const outage = new Outage({
    isDown: () => {
      nowMs += 100;
      return Promise.resolve(++probes < 8);
    },
    probeIntervalMs: 1,
    onDown: () => events.push("down"),
    onUp: () => events.push("up"),
    signal: consumer.signal,
  });
  // The outage takes 0.7 s by this clock, twice the limit, and a second failure follows.
  const { outcome, buried } = handling(failing(2), { outage, retryLimitMs: 350 });
  expect(await outcome).toBe("finished");
  expect(buried).toEqual([]);
  expect(events).toEqual(["down", "up"]);
  expect(outage.totalMs()).toBe(700);
});

test("records that wait for the same dependency share one probe", async () => {
  let probing = 0;
  let probingMost = 0;
  let probes = 0;
  const outage = new Outage({
    isDown: async () => {
      probingMost = Math.max(probingMost, ++probing);
      await Bun.sleep(1);
      probing -= 1;
      return ++probes < 4;
    },
    probeIntervalMs: 2,
    onDown: () => {},
    onUp: () => {},
    signal: new AbortController().signal,
  });
  const slots = new Slots(10);
  const records = Array.from({ length: 10 }, () => handling(failing(1), { outage, slots }));
  expect(await Promise.all(records.map(({ outcome }) => outcome))).toEqual(
    Array.from({ length: 10 }, () => "finished" as const),
  );
  expect(probingMost).toBe(1);
  expect(probes).toBe(4);
});

test("a probe that fails stops no orders", async () => {
  const outage = new Outage({
    isDown: () => Promise.reject(new Error("a bug in the probe")),
    probeIntervalMs: 1,
    onDown: () => {},
    onUp: () => {},
    signal: new AbortController().signal,
  });
  expect(await handling(failing(1), { outage }).outcome).toBe("finished");
  expect(outage.totalMs()).toBe(0);
});
