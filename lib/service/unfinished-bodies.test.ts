import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { RequestTimeoutError } from "./errors.ts";
import { UnfinishedBodies } from "./unfinished-bodies.ts";

/** Long enough, and large enough, not to matter. */
const LONG_MS = 60_000;
const LARGE_BYTES = 1_000_000;

function limits(countMax: number, timeoutMs = LONG_MS, bytesMax = LARGE_BYTES) {
  return new UnfinishedBodies({ countMax, bytesMax, timeoutMs });
}

const written = spyOn(process.stdout, "write").mockImplementation(() => true);
afterEach(() => void written.mockClear());

/** Waits for a body as the app does. */
async function wait(bodies: UnfinishedBodies, read: Promise<unknown>): Promise<unknown> {
  const body = bodies.begin();
  try {
    read.then(body.resolve, body.reject);
    return await body.promise;
  } finally {
    bodies.end(body);
  }
}

/** A body that never comes, and what became of waiting for it. */
function stalled(bodies: UnfinishedBodies) {
  const state = { givenUp: false };
  const body = bodies.begin();
  const waiting = body.promise
    .catch((error: unknown) => {
      state.givenUp = true;
      return error;
    })
    .finally(() => bodies.end(body));
  return { state, waiting, grow: (bytes: number) => bodies.grow(body, bytes) };
}

describe("a body", () => {
  test("that is there in time gives what was read, or how reading it failed", async () => {
    const bodies = limits(1);
    expect(await wait(bodies, Promise.resolve("read"))).toBe("read");
    await expect(wait(bodies, Promise.reject(new Error("no JSON")))).rejects.toThrow("no JSON");
    expect(await wait(bodies, Promise.resolve("again"))).toBe("again");
  });

  test("that is not there in time is given up: 408, and the connection closes", async () => {
    const { waiting } = stalled(limits(1, 20));
    const error = await waiting;
    expect(error).toBeInstanceOf(RequestTimeoutError);
    expect(error).toMatchObject({ status: 408, headers: { connection: "close" } });
  });

  test("has its own time, whatever others before it had", async () => {
    const bodies = limits(10, 100);
    const startedMs = performance.now();
    const first = stalled(bodies);
    await Bun.sleep(50);
    const secondAtMs = performance.now();
    const second = stalled(bodies);
    await first.waiting;
    expect(performance.now() - startedMs).toBeGreaterThan(99);
    await second.waiting;
    expect(performance.now() - secondAtMs).toBeGreaterThan(99);
    // The timer was left without work; a later body must have one again.
    await stalled(bodies).waiting;
  });
});

describe("with more bodies than may be on their way", () => {
  test("the oldest is given up, none is turned away", async () => {
    const bodies = limits(2);
    const [first, second, third] = [stalled(bodies), stalled(bodies), stalled(bodies)];
    expect(await first?.waiting).toBeInstanceOf(RequestTimeoutError);
    expect(second?.state.givenUp).toBe(false);
    expect(await wait(bodies, Promise.resolve("read"))).toBe("read");
    expect(await second?.waiting).toBeInstanceOf(RequestTimeoutError);
    expect(third?.state.givenUp).toBe(false);
  });

  test("one that has been read gives its place to the next", async () => {
    const bodies = limits(2);
    const patient = stalled(bodies);
    for (let n = 0; n < 10; n++) await wait(bodies, Promise.resolve(n));
    expect(patient.state.givenUp).toBe(false);
  });

  test("the size of all is bounded, too: the oldest make room for the newest", async () => {
    const bodies = limits(10, LONG_MS, 100);
    const [first, second, third] = [stalled(bodies), stalled(bodies), stalled(bodies)];
    first?.grow(60);
    second?.grow(40);
    await Bun.sleep(1);
    expect(first?.state.givenUp).toBe(false);
    third?.grow(1);
    expect(await first?.waiting).toBeInstanceOf(RequestTimeoutError);
    // What was given up does not count any more, whatever still arrives of it.
    first?.grow(1_000);
    third?.grow(59);
    await Bun.sleep(1);
    expect([second?.state.givenUp, third?.state.givenUp]).toEqual([false, false]);
    third?.grow(1);
    expect(await second?.waiting).toBeInstanceOf(RequestTimeoutError);
    expect(third?.state.givenUp).toBe(false);
  });

  test("thousands that are given up are one line in the log", async () => {
    const bodies = limits(1);
    const all = Array.from({ length: 2_000 }, () => stalled(bodies));
    await Promise.all(all.slice(0, -1).map(({ waiting }) => waiting));
    expect(written.mock.calls.map(([line]) => JSON.parse(String(line)))).toEqual([
      expect.objectContaining({ level: "warn", count: 1 }),
    ]);
  });
});
