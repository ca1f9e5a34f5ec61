import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { RequestTimeoutError } from "./errors.ts";
import { UnfinishedBodies } from "./unfinished-bodies.ts";

/** Long enough not to matter. */
const LONG_MS = 60_000;

const written = spyOn(process.stdout, "write").mockImplementation(() => true);
afterEach(() => void written.mockClear());

/** A body that never comes, and what became of waiting for it. */
function stalled(bodies: UnfinishedBodies) {
  const state = { givenUp: false };
  const waiting = bodies.wait(new Promise<never>(() => {})).catch((error: unknown) => {
    state.givenUp = true;
    return error;
  });
  return { state, waiting };
}

describe("a body", () => {
  test("that is there in time gives what was read, or how reading it failed", async () => {
    const bodies = new UnfinishedBodies(1, LONG_MS);
    expect(await bodies.wait(Promise.resolve("read"))).toBe("read");
    await expect(bodies.wait(Promise.reject(new Error("no JSON")))).rejects.toThrow("no JSON");
    expect(await bodies.wait(Promise.resolve("again"))).toBe("again");
  });

  test("that is not there in time is given up: 408, and the connection closes", async () => {
    const { waiting } = stalled(new UnfinishedBodies(1, 20));
    const error = await waiting;
    expect(error).toBeInstanceOf(RequestTimeoutError);
    expect(error).toMatchObject({ status: 408, headers: { connection: "close" } });
  });

  test("has its own time, whatever others before it had", async () => {
    const bodies = new UnfinishedBodies(10, 100);
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
    const bodies = new UnfinishedBodies(2, LONG_MS);
    const [first, second, third] = [stalled(bodies), stalled(bodies), stalled(bodies)];
    expect(await first?.waiting).toBeInstanceOf(RequestTimeoutError);
    expect(second?.state.givenUp).toBe(false);
    expect(await bodies.wait(Promise.resolve("read"))).toBe("read");
    expect(await second?.waiting).toBeInstanceOf(RequestTimeoutError);
    expect(third?.state.givenUp).toBe(false);
  });

  test("one that has been read gives its place to the next", async () => {
    const bodies = new UnfinishedBodies(2, LONG_MS);
    const patient = stalled(bodies);
    for (let n = 0; n < 10; n++) await bodies.wait(Promise.resolve(n));
    expect(patient.state.givenUp).toBe(false);
  });

  test("thousands that are given up are one line in the log", async () => {
    const bodies = new UnfinishedBodies(1, LONG_MS);
    const all = Array.from({ length: 2_000 }, () => stalled(bodies));
    await Promise.all(all.slice(0, -1).map(({ waiting }) => waiting));
    expect(written.mock.calls.map(([line]) => JSON.parse(String(line)))).toEqual([
      expect.objectContaining({ level: "warn", count: 1 }),
    ]);
  });
});
