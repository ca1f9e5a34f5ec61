import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AgentOptions } from "node:https";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diag } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { agentOptions, proxyFor } from "./collector-agent.ts";

const PROXY = "http://user:secret@proxy.example:3128";
const chosen = (url: string, env: Record<string, string>) => proxyFor(new URL(url), env);

const isExempt = (url: string, list: string, name = "NO_PROXY") =>
  chosen(url, { HTTP_PROXY: PROXY, HTTPS_PROXY: PROXY, [name]: list }) === undefined;

const cleanUps: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

describe("the proxy on the way to a collector", () => {
  test.each(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])(
    "is what %s names, over HTTP",
    (name) => {
      expect(chosen("http://collector.example:4318", { [name]: PROXY })).toBe(PROXY);
    },
  );

  test.each(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])(
    "is what %s names, over HTTPS",
    (name) => {
      expect(chosen("https://collector.example", { [name]: PROXY })).toBe(PROXY);
    },
  );

  test("is not that of the other scheme, nor an empty one", () => {
    expect(chosen("http://collector.example", { HTTPS_PROXY: PROXY })).toBeUndefined();
    expect(chosen("https://collector.example", { HTTP_PROXY: PROXY })).toBeUndefined();
    expect(chosen("http://collector.example", { HTTP_PROXY: " " })).toBeUndefined();
    expect(chosen("http://collector.example", {})).toBeUndefined();
  });

  test("is the scheme's own before that of all, and the lower case before the upper", () => {
    const env = { ALL_PROXY: "http://all", HTTP_PROXY: "http://upper", http_proxy: "http://lower" };
    expect(chosen("http://collector.example", env)).toBe("http://lower");
    expect(chosen("https://collector.example", env)).toBe("http://all");
  });

  test("may be named without its scheme", () => {
    const env = { HTTP_PROXY: "proxy.example:3128" };
    expect(chosen("http://collector.example", env)).toBe("http://proxy.example:3128");
  });

  test("is none where it is no HTTP proxy; that is said, without its password", () => {
    const warn = spyOn(diag, "warn").mockImplementation(() => undefined);
    cleanUps.push(() => warn.mockRestore());
    const env = { HTTP_PROXY: "socks5://user:secret@proxy.example:1080" };
    expect(chosen("http://collector.example", env)).toBeUndefined();
    expect(warn).toHaveBeenCalledTimes(1);
    expect(JSON.stringify(warn.mock.calls)).not.toContain("secret");
  });
});

describe("NO_PROXY", () => {
  test.each([
    ["*", "http://collector.example"],
    ["collector.example", "http://collector.example:4318"],
    ["example", "http://collector.example"],
    [".example", "http://collector.example"],
    ["*.example", "http://collector.example"],
    ["COLLECTOR.example", "http://Collector.Example"],
    ["collector.example:4318", "http://collector.example:4318"],
    ["collector.example:443", "https://collector.example"],
    ["other.example, collector.example", "http://collector.example"],
    ["other.example collector.example", "http://collector.example"],
    ["localhost", "http://localhost:4318"],
    ["127.0.0.1", "http://127.0.0.1:4318"],
    ["10.0.0.0/8", "http://10.1.2.3:4318"],
    ["10.1.2.3:4318", "http://10.1.2.3:4318"],
    ["::1", "http://[::1]:4318"],
    ["[::1]", "http://[::1]:4318"],
    ["[::1]:4318", "http://[::1]:4318"],
    ["0:0:0:0:0:0:0:1", "http://[::1]:4318"],
    ["fd00::/8", "http://[fd12::1]:4318"],
  ])("of %p leaves out %s", (list, url) => {
    expect(isExempt(url, list)).toBe(true);
    expect(isExempt(url, list, "no_proxy")).toBe(true);
  });

  test.each([
    ["", "http://collector.example"],
    [",", "http://collector.example"],
    [".", "http://collector.example"],
    ["ample", "http://collector.example"],
    ["collector", "http://collector.example"],
    ["collector.example:4317", "http://collector.example:4318"],
    ["10.0.0.0/8", "http://11.1.2.3:4318"],
    ["10.0.0.0/8", "http://collector.example"],
    ["10.0.0.0/99", "http://10.1.2.3:4318"],
    ["10.0.0.0/x", "http://10.1.2.3:4318"],
    ["0.0.0.0/0", "http://[::1]:4318"],
    ["2.3", "http://10.1.2.3:4318"],
    ["::2", "http://[::1]:4318"],
  ])("of %p does not leave out %s", (list, url) => {
    expect(isExempt(url, list)).toBe(false);
  });
});

/** What the agent for an endpoint was made with. */
function madeWith(env: Record<string, string>, signal: "TRACES" | "METRICS", protocol: string) {
  const agent = agentOptions(env, signal).httpAgentOptions(protocol);
  return Reflect.get(agent, "options") as AgentOptions;
}

describe("an exporter's connection", () => {
  test("goes through no proxy where none is on its way", () => {
    for (const env of [{}, { HTTP_PROXY: PROXY, NO_PROXY: "localhost" }]) {
      expect(madeWith(env, "TRACES", "http:").proxyEnv).toEqual({});
    }
  });

  test("is judged by its own endpoint", () => {
    const env = {
      HTTP_PROXY: PROXY,
      NO_PROXY: "near.example",
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://far.example:4318",
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://near.example:4318/v1/metrics",
    };
    expect(madeWith(env, "TRACES", "http:").proxyEnv).toEqual({
      HTTP_PROXY: PROXY,
      HTTPS_PROXY: PROXY,
    });
    expect(madeWith(env, "METRICS", "http:").proxyEnv).toEqual({});
  });

  test("has the certificates that the environment names for it", () => {
    const folder = mkdtempSync(join(tmpdir(), "orderflow-collector-agent-test-"));
    cleanUps.push(() => rmSync(folder, { recursive: true }));
    const file = (name: string) => {
      writeFileSync(join(folder, name), name);
      return join(folder, name);
    };
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: "https://collector.example",
      OTEL_EXPORTER_OTLP_CERTIFICATE: file("ca"),
      OTEL_EXPORTER_OTLP_CLIENT_KEY: file("key"),
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: file("everybody's"),
      OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE: file("own"),
    };
    for (const proxy of [{}, { HTTPS_PROXY: PROXY }]) {
      const { ca, cert, key, keepAlive } = madeWith({ ...env, ...proxy }, "TRACES", "https:");
      expect([ca, cert, key].map(String)).toEqual(["ca", "own", "key"]);
      expect(keepAlive).toBe(true);
    }
    const missing = { ...env, OTEL_EXPORTER_OTLP_CERTIFICATE: join(folder, "nothing") };
    expect(madeWith(missing, "TRACES", "https:").ca).toBeUndefined();
  });

  test("is given up where an answer trickles, and the next export makes a new one", async () => {
    const connections: boolean[] = [];
    const collector = createServer((socket) => {
      const id = connections.push(true) - 1;
      const drip = setInterval(() => socket.write(" "), 50);
      socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"));
      socket.on("error", () => undefined);
      socket.once("close", () => {
        clearInterval(drip);
        connections[id] = false;
      });
    });
    await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
    cleanUps.push(() => collector.close());
    const { port } = collector.address() as AddressInfo;
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_TIMEOUT: "200",
    };
    const exporter = new OTLPTraceExporter({
      timeoutMillis: 200,
      ...agentOptions(env, "TRACES", undefined, 200),
    });
    for (let count = 1; count <= 2; count++) {
      const done = Promise.withResolvers<void>();
      exporter.export([], () => done.resolve());
      await done.promise;
      // However it counts: it has ended, and its connection with it.
      expect(connections.length).toBe(count);
      await until(() => !connections.includes(true));
    }
  }, 20_000);
});

async function until(isSo: () => boolean): Promise<void> {
  for (const endMs = performance.now() + 5_000; !isSo();) {
    if (performance.now() > endMs) throw new Error("waited 5 s in vain");
    await Bun.sleep(10);
  }
}
