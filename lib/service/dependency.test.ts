import { afterEach, describe, expect, test } from "bun:test";
import {
  createDependency,
  DependencyError,
  describeAnswer,
  isDependencyDown,
  type Retrying,
} from "./dependency.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

/** A service that gives these answers one after the other, and the last one for ever. */
function serve(...answers: Response[]) {
  let calls = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (): Response => answers[Math.min(calls++, answers.length - 1)]?.clone() as Response,
  });
  cleanUps.push(() => server.stop(true));
  return { url: `http://127.0.0.1:${server.port}`, calls: () => calls };
}

const answer = (body: string) => ({ status: 409, headers: new Headers(), body });

/** Retries at once, so many times, and notes with what; and how often that helped. */
function retrying(times: number): Retrying & { errors: unknown[]; successes: number } {
  const errors: unknown[] = [];
  return {
    signal: new AbortController().signal,
    errors,
    successes: 0,
    async retry(error) {
      errors.push(error);
      if (errors.length > times) throw error;
    },
    succeeded() {
      this.successes += 1;
    },
  };
}

const notReady = () => Response.json({ status: "not ready" }, { status: 503 });
const status = (code: number) => new Response('{"error":"because"}', { status: code });

describe("a call to a dependency", () => {
  test.each([500, 502, 503, 504, 408, 429])(
    "answered %d is tried again until it succeeds",
    async (code) => {
      const { url, calls } = serve(status(code), status(code), status(200));
      const context = retrying(5);
      const answer = await createDependency("stock", url).call(context, "GET", "/");
      expect(answer.status).toBe(200);
      expect(calls()).toBe(3);
      expect(context.errors).toHaveLength(2);
      expect(context.successes).toBe(1);
      expect(context.errors[0]).toMatchObject({
        retryable: true,
        message: `the stock service answers ${code}: because`,
      });
    },
  );

  test.each([200, 400, 404, 409])("answered %d is not repeated", async (code) => {
    const { url, calls } = serve(status(code));
    const context = retrying(5);
    expect((await createDependency("stock", url).call(context, "GET", "/")).status).toBe(code);
    expect(calls()).toBe(1);
    expect(context.successes).toBe(0);
  });

  test("ends with the last failure once it has been tried for long enough", async () => {
    const { url, calls } = serve(status(503));
    const error = await createDependency("stock", url)
      .call(retrying(2), "GET", "/")
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DependencyError);
    expect(calls()).toBe(3);
  });

  test("is not made, nor repeated, for a caller that is to make no more", async () => {
    const { url, calls } = serve(status(503));
    const dependency = createDependency("stock", url);
    const caller = new AbortController();
    const reason = new Error("someone else has the work");
    const context = {
      ...retrying(5),
      signal: caller.signal,
      retry: async () => caller.abort(reason),
    };
    await expect(dependency.call(context, "POST", "/")).rejects.toBe(reason);
    expect(calls()).toBe(1);
    await expect(dependency.call(context, "POST", "/")).rejects.toBe(reason);
    expect(calls()).toBe(1);
  });

  test("to nobody is tried again, too", async () => {
    const { url } = serve(status(200));
    await cleanUps.pop()?.();
    const context = retrying(1);
    await createDependency("stock", url)
      .call(context, "GET", "/")
      .catch(() => undefined);
    expect(context.errors).toHaveLength(2);
    expect(context.errors[0]).toBeInstanceOf(DependencyError);
  });
});

describe("a dependency is down", () => {
  test("where it says that it is not ready, or cannot be reached", async () => {
    expect(await createDependency("stock", serve(notReady()).url).isDown()).toBe(true);
    const { url } = serve(status(200));
    await cleanUps.pop()?.();
    expect(await createDependency("stock", url).isDown()).toBe(true);
  });

  test("not where it is ready, or something else answers 503 for it", async () => {
    expect(await createDependency("stock", serve(status(200)).url).isDown()).toBe(false);
    expect(await createDependency("stock", serve(status(503)).url).isDown()).toBe(false);
    expect(
      await createDependency("stock", serve(new Response("<html>", { status: 503 })).url).isDown(),
    ).toBe(false);
  });

  test("for those failures only that are its own", async () => {
    const dependency = createDependency("stock", serve(notReady()).url);
    expect(await isDependencyDown(new DependencyError(dependency, "no answer"))).toBe(true);
    expect(await isDependencyDown(new Error("no answer"))).toBe(false);
  });
});

test("an answer is described with its service, its status and its text", () => {
  expect(describeAnswer("stock", answer('{"error":"short"}'))).toBe(
    "the stock service answers 409: short",
  );
  expect(describeAnswer("stock", answer("<html>"))).toBe("the stock service answers 409");
});
