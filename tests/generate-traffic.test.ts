/** bun run generate-traffic: orders one by one, and a load at a steady rate, against a gateway that does as it is told. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { freePort } from "#lib/embedded/free-port.ts";
import { makeTraffic, startTraffic } from "./support/traffic.ts";

setDefaultTimeout(30_000);

describe("bun run generate-traffic", () => {
  test("says in one line that no gateway answers", async () => {
    const gatewayUrl = `http://localhost:${freePort()}`;
    const { stderr, exitStatus } = await makeTraffic({ GATEWAY_URL: gatewayUrl });
    expect(stderr).toBe(
      `no gateway answers at ${gatewayUrl} (GATEWAY_URL); bun run demo starts one\n`,
    );
    expect(exitStatus).toBe(1);
  });

  test("never prints the password of GATEWAY_URL", async () => {
    const port = freePort();
    const GATEWAY_URL = `http://user:secret@localhost:${port}`;
    const { stdout, stderr } = await makeTraffic({ GATEWAY_URL });
    expect(stdout + stderr).toStartWith(`no gateway answers at http://localhost:${port} (`);
    expect(stdout + stderr).not.toContain("secret");
  });

  test.each([
    ["GATEWAY_URL", "localhost"],
    ["ORDER_COUNT", "many"],
    ["ORDER_COUNT", "0"],
    ["SLEEP_SECONDS", "-1"],
    ["SLEEP_SECONDS", "1s"],
  ])("refuses %s=%s in one line that names it", async (name, value) => {
    const { stderr, exitStatus } = await makeTraffic({ [name]: value });
    expect(stderr).toMatch(new RegExp(`^${name} must be .*\n$`));
    expect(exitStatus).toBe(1);
  });

  test("tells which orders failed and which stayed pending, and exits 1", async () => {
    let orders = 0;
    using gateway = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      routes: {
        "/healthz": Response.json({ status: "ok" }),
        "/orders": () =>
          ++orders === 1
            ? Response.json({ error: "the orders service is down" }, { status: 502 })
            : Response.json({ id: `order-${orders}` }, { status: 201 }),
        "/orders/:id": Response.json({ status: "confirmed" }),
      },
    });
    const { stdout, exitStatus } = await makeTraffic({
      GATEWAY_URL: gateway.url.origin,
      ORDER_COUNT: "3",
      SLEEP_SECONDS: "0.2",
    });
    expect(stdout).toMatch(/^ *1\/3 +failed .*502.*the orders service is down/m);
    expect(stdout).toMatch(/^3 orders in .*: 1 failed, 2 confirmed$/m);
    expect(exitStatus).toBe(1);
  });

  test.each([
    [["--rate", "0"], "--rate must be a number from 0.1 to 10000"],
    [["--rate", "1", "--duration", "1h"], "--duration must be a number"],
    [["--rate", "1", "--mix", "toString=1"], "--mix must be like order="],
    [["--rate", "1", "--mix", "order=0"], "--mix is of nothing"],
    [["--rate", "1", "--mix", "order=1,order=2"], "--mix names order twice"],
    [["--p99-max", "1"], "--p99-max needs --rate"],
    [["--mix", "order=1"], "--mix needs --rate"],
    [["--speed", "1"], "--speed"],
    [["fast"], "unknown: fast"],
  ])("answers %j with what is wrong, its usage and status 2", async (args, text) => {
    const { stdout, stderr, exitStatus } = await makeTraffic({}, args);
    expect({ stdout, exitStatus }).toEqual({ stdout: "", exitStatus: 2 });
    expect(stderr).toContain(text);
    expect(stderr).toContain("usage: bun run generate-traffic");
  });

  test("makes a load of all kinds at its rate, and exits 0 where it is within its limits", async () => {
    const asked: string[] = [];
    using gateway = startGateway((request) => {
      const { pathname } = new URL(request.url);
      asked.push(`${request.method} ${pathname.replace(/(orders|inventory)\/.*/, "$1/…")}`);
      return request.method === "POST"
        ? Response.json({ id: "order-1" }, { status: 201 })
        : Response.json([]);
    });
    const { stdout, stderr, exitStatus } = await makeTraffic({ GATEWAY_URL: gateway.url.origin }, [
      "--rate=200",
      "--duration=1.2",
      "--mix=order=4,unknown=2,scarce=2,read=8,nplus1=2",
    ]);
    expect(exitStatus).toBe(0);
    expect(asked).toHaveLength(240);
    expect(new Set(asked)).toEqual(
      new Set([
        "POST /orders",
        "GET /orders",
        "GET /orders/…",
        "GET /orders-nplus1",
        "GET /inventory",
        "GET /inventory/…",
      ]),
    );
    for (const kind of ["order", "unknown", "scarce", "read", "nplus1"]) {
      expect(stdout).toMatch(new RegExp(`^\\| ${kind} +\\| +\\d+ \\|`, "m"));
    }
    expect(stdout).toMatch(/^\| all +\| +240 \| +\d+\.\d \| +0 \|/m);
    // How many of them a second's progress line finds sent is the machine's.
    const sent = /^ +1 s  (\d+)\/240 sent  \d+ under way  0 failed/m.exec(stderr)?.[1];
    expect(Number(sent)).toBeWithin(1, 241);
  });

  test("counts what failed, says why, and exits 1 above what is allowed", async () => {
    let count = 0;
    using gateway = startGateway(() =>
      ++count % 10 === 0
        ? Response.json({ error: "too busy" }, { status: 503 })
        : Response.json([]),
    );
    const load = ["--rate=100", "--duration=1", "--mix=read=1"];
    const env = { GATEWAY_URL: gateway.url.origin };
    const strict = await makeTraffic(env, [...load, "--failed-max=9.9"]);
    expect(strict.stdout).toContain('10 × read: 503 {"error":"too busy"}');
    expect(strict.stdout).toContain("✗ 10.00 % failed, above 9.9 %");
    expect(strict.exitStatus).toBe(1);
    expect((await makeTraffic(env, [...load, "--failed-max=10"])).exitStatus).toBe(0);
  });

  test("counts a request's time from when it came, though the gateway let nobody send it", async () => {
    let frozenUntilMs = 0;
    // One at a time, and of 100 that come within a second the first one takes half of it.
    using gateway = startGateway(async () => {
      frozenUntilMs ||= performance.now() + 500;
      await Bun.sleep(Math.max(0, frozenUntilMs - performance.now()));
      return Response.json([]);
    });
    const { stdout, exitStatus } = await makeTraffic({ GATEWAY_URL: gateway.url.origin }, [
      "--rate=100",
      "--duration=1",
      "--mix=nplus1=1",
      "--in-flight=1",
      "--p95-max=250",
    ]);
    // Counted from when they were sent, one of 100 would be slow.
    expect(stdout).toMatch(/^✗ p95 is \d{3,}\.\d ms, above 250 ms$/m);
    expect(exitStatus).toBe(1);
  });

  test("that is interrupted says so, and passes for no load that was within its limits", async () => {
    let asked = 0;
    const underWay = Promise.withResolvers<void>();
    using gateway = startGateway(() => {
      if (++asked === 5) underWay.resolve();
      return Response.json([]);
    });
    const load = startTraffic({ GATEWAY_URL: gateway.url.origin }, [
      "--rate=50",
      "--duration=60",
      "--mix=nplus1=1",
    ]);
    await underWay.promise;
    load.kill("SIGINT");
    expect(await load.exited).toBe(130);
    expect(await load.stdout.text()).toEndWith("✗ interrupted before its end\n");
    expect(await load.stderr.text()).toContain("interrupted; waiting for what is under way");
  });

  test("does not work the queue off for ever before a gateway that is too slow", async () => {
    using gateway = startGateway(async () => {
      await Bun.sleep(200);
      return Response.json([]);
    });
    const { stdout, exitStatus } = await makeTraffic({ GATEWAY_URL: gateway.url.origin }, [
      "--rate=1000",
      "--duration=0.5",
      "--mix=nplus1=1",
      "--in-flight=4",
    ]);
    expect(stdout).toMatch(/^✗ \d{3} requests were not sent: it was too slow$/m);
    expect(exitStatus).toBe(1);
  });
});

/** A gateway that is there, and answers as told. */
function startGateway(answer: (request: Request) => Response | Promise<Response>) {
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: { "/healthz": Response.json({ status: "ok" }) },
    fetch: answer,
  });
}
