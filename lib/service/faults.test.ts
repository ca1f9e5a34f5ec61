import { afterEach, describe, expect, test } from "bun:test";
import { createBaseApp } from "./app.ts";
import { ConfigError } from "./config.ts";
import { addFaultRoutes, FAULTS, faultStrikes, loadFaults, switchFaults } from "./faults.ts";

afterEach(() => switchFaults([]));

describe("the environment", () => {
  test("switches nothing on by default, and offers no endpoint", () => {
    expect(loadFaults({})).toEqual({ on: [], endpoint: false });
    expect(loadFaults({ ORDERFLOW_FAULTS: "", ORDERFLOW_FAULTS_ENDPOINT: "" })).toEqual({
      on: [],
      endpoint: false,
    });
  });

  test("names the faults to switch on, separated by commas", () => {
    const env = {
      ORDERFLOW_FAULTS: "slow-sql, failing-email,",
      ORDERFLOW_FAULTS_ENDPOINT: "on",
    };
    expect(loadFaults(env)).toEqual({ on: ["slow-sql", "failing-email"], endpoint: true });
  });

  test.each(["slow", "slow-sql,typo", "SLOW-SQL", "constructor", "__proto__"])(
    "is refused where it names no fault: %s",
    (names) => {
      const load = () => loadFaults({ ORDERFLOW_FAULTS: names });
      expect(load).toThrow(ConfigError);
      expect(load).toThrow(
        /^ORDERFLOW_FAULTS must be a list of faults out of slow-sql, failing-email, poison-message, lost-inventory, hanging-inventory$/,
      );
    },
  );

  test("is refused where the endpoint is neither on nor off", () => {
    expect(() => loadFaults({ ORDERFLOW_FAULTS_ENDPOINT: "yes" })).toThrow(
      "ORDERFLOW_FAULTS_ENDPOINT must be one of on, off",
    );
  });
});

describe("a fault", () => {
  test("never strikes while it is off", () => {
    switchFaults(["failing-email"]);
    expect(Array.from({ length: 4 }, () => faultStrikes("slow-sql"))).not.toContain(true);
    switchFaults([]);
    expect(faultStrikes("failing-email")).toBe(false);
  });

  test("strikes each time, or every other time from the first on", () => {
    switchFaults(["slow-sql", "failing-email"]);
    expect([1, 2, 3].map(() => faultStrikes("slow-sql"))).toEqual([true, true, true]);
    const email = [1, 2, 3, 4].map(() => faultStrikes("failing-email"));
    expect(email).toEqual([true, false, true, false]);
  });
});

describe("the endpoint", () => {
  test("is not there unless it is asked for", async () => {
    const app = baseApp();
    for (const method of ["GET", "PUT", "POST", "OPTIONS"]) {
      const response = await app.handle(request(method, method === "PUT" ? '{"on":[]}' : null));
      expect({ method, status: response.status }).toEqual({ method, status: 404 });
    }
  });

  test("tells all faults, switches some on and all off again", async () => {
    const app = appWithEndpoint();
    const known = Object.fromEntries(
      Object.entries(FAULTS).map(([name, { does }]) => [name, does]),
    );
    expect(await answer(app, "GET")).toEqual({ status: 200, body: { on: [], known } });
    const on = ["slow-sql", "lost-inventory"];
    expect(await answer(app, "PUT", { on })).toEqual({ status: 200, body: { on, known } });
    expect(faultStrikes("slow-sql")).toBe(true);
    expect(await answer(app, "PUT", { on: [] })).toEqual({ status: 200, body: { on: [], known } });
    expect(faultStrikes("slow-sql")).toBe(false);
  });

  test.each([
    [{ on: ["typo"] }],
    [{ on: ["__proto__"] }],
    [{ on: "slow-sql" }],
    [{ on: [1] }],
    [{}],
    [[]],
    [null],
  ])("refuses what is no list of faults and leaves all as it is: %j", async (body) => {
    const app = appWithEndpoint();
    switchFaults(["slow-sql"]);
    const refused = await answer(app, "PUT", body);
    expect(refused).toEqual({ status: 400, body: { error: expect.any(String) } });
    expect(faultStrikes("slow-sql")).toBe(true);
  });
});

function baseApp() {
  return createBaseApp({
    ready: {},
    scrape: async () => "",
    requestsMax: 10,
    stopping: () => false,
  });
}

function appWithEndpoint() {
  const app = baseApp();
  addFaultRoutes(app);
  return app;
}

function request(method: string, body: string | null): Request {
  return new Request("http://localhost/faults", { method, body });
}

async function answer(app: ReturnType<typeof baseApp>, method: string, body?: unknown) {
  const sent = body === undefined ? null : JSON.stringify(body);
  const response = await app.handle(request(method, sent));
  return { status: response.status, body: (await response.json()) as unknown };
}
