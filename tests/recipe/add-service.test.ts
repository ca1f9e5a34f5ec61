/** CONTRIBUTING.md's "Add a service", followed to the letter in a copy of the checkout. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { GENERATED } from "../../scripts/generate/index.ts";
import { ROOT } from "../../scripts/check-stack/files.ts";
import { follow, stepsOf } from "../support/recipe.ts";

/** All of the tests run in the copy. */
setDefaultTimeout(1_200_000);

const OWN_FOLDER = "services/shipping/";
const NOT_COPIED = /^(\.git|\.orderflow|(.*\/)?node_modules)$/;
const steps = stepsOf(await Bun.file(join(ROOT, "CONTRIBUTING.md")).text(), "Add a service");

const cleanUps: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

test("touches six files besides the service's own folder", () => {
  const touched = new Set(steps.map(({ path }) => path));
  const elsewhere = [...touched].filter((path) => !path.startsWith(OWN_FOLDER));
  expect(touched.size).toBeGreaterThan(elsewhere.length);
  expect(elsewhere).toHaveLength(6);
});

describe("what is forgotten is named by a check that fails", () => {
  test.each([
    ["the worker's call", "settle.ts", "services/worker/settle.test.ts", "shipping POST /parcels"],
    ["its test", "settle.test.ts", "services/worker/settle.test.ts", "shipping POST /parcels"],
    ["the configuration", "shipping/config.ts", "tests/generated.test.ts", "shipping/config.ts"],
    ["the table", "migrations/", "tests/flow.test.ts", "shipping.parcels is missing"],
    ["the trace's test", "traces-order", "tests/traces-order.test.ts", "shipping server POST"],
  ])("%s", async (_, forgotten, check, name) => {
    const { bun } = await copyWith(steps.filter(({ path }) => !path.includes(forgotten)));
    const { status, output } = await bun("test", check);
    expect(output).toContain(name);
    expect(status).not.toBe(0);
  });

  test("in every file that does not know the service", async () => {
    const { bun } = await copyWith(steps);
    const { output } = await bun("test", "tests/generated.test.ts");
    const named = [...output.matchAll(/^\(fail\) (\S+)/gm)].map(([, file]) => file);
    // Those with nothing of PostgreSQL or of whom it calls have nothing to say of it.
    const silent = ["local/kafka", "managed/", "gateway", "orders", "inventory", "email"];
    const meant = [...GENERATED.keys(), "deploy/kubernetes/base/shipping.yaml"]
      .filter((file) => !silent.some((part) => file.startsWith("deploy") && file.includes(part)))
      .filter((file) => !file.startsWith("docs/tutorial/"));
    expect([...new Set(named)].sort()).toEqual(meant.sort());
  });
});

describe("a service of another kind fits all files that tell of it", () => {
  test.each([
    ["reached from outside", 'edge: true, calls: ["orders"]'],
    ["that takes records, and that nobody calls", 'kafka: true, calls: ["orders"]'],
    ["with both servers", "postgres: true, kafka: true, calls: []"],
    ["that calls nobody and needs nothing", "calls: []"],
  ])("%s", async (_, facts) => {
    const { folder, bun } = await copyWith([]);
    const edit = async (path: string, from: string, to: string) => {
      const text = await Bun.file(join(folder, path)).text();
      expect([path, text.includes(from)]).toEqual([path, true]);
      await Bun.write(join(folder, path), text.replace(from, to));
    };
    const email = "  email: {";
    const shipping = `  shipping: { what: "the shipping service", port: 8085, ${facts} },\n`;
    await edit("lib/service/services.ts", email, shipping + email);
    // A host port of its own is told by hand, as a check says.
    await edit("docs/operations.md", "`GATEWAY_PORT`,", "`GATEWAY_PORT`, `SHIPPING_PORT`,");
    const config = "export const loadShippingConfig = () => ({});\n";
    await Bun.write(join(folder, OWN_FOLDER, "config.ts"), config);
    expect(await bun("run", "generate")).toMatchObject({ status: 0 });
    const files = ["generated", "stack-files", "stack-addresses", "kubernetes-files"];
    const checks = await bun("test", ...files.map((name) => `tests/${name}.test.ts`));
    expect(checks.output).not.toContain("(fail)");
    expect(checks.status).toBe(0);
    const stack = await bun("scripts/check-stack/index.ts", "kubernetes", "prometheus");
    expect(stack.status, stack.output).toBe(0);
  });
});

describe("followed to its end", () => {
  let bun: Bun;
  beforeAll(async () => {
    ({ bun } = await copyWith(steps));
    expect(await bun("run", "generate")).toMatchObject({ status: 0 });
  });

  test.each(["check", "lint", "format:check"])("bun run %s is green", async (command) => {
    const { status, output } = await bun("run", command);
    expect(status, output).toBe(0);
  });

  test("what is there of the stack's programs takes its files", async () => {
    const parts = ["compose", "kubernetes", "prometheus"];
    const { status, output } = await bun("scripts/check-stack/index.ts", ...parts);
    expect(status, output).toBe(0);
  });

  test("the demo's order goes through six services", async () => {
    const { status, output } = await bun("scripts/demo.ts", "--once");
    expect(status, output).toBe(0);
    expect(output).toMatch(/^trace [0-9a-f]{32} {2}\d+ spans, 6 services/m);
    expect(output).toMatch(/^shipping .*POST \/parcels/m);
  });

  test("every test is green", async () => {
    const { status, output } = await bun("scripts/test.ts", "fast");
    const failed = output.split("\n").filter((line) => line.startsWith("(fail)"));
    expect({ status, failed }).toEqual({ status: 0, failed: [] });
    expect(output).toMatch(/^ *[1-9]\d{3} pass$/m);
  });
});

function isCopied(path: string): boolean {
  return !NOT_COPIED.test(relative(ROOT, path));
}

type Bun = (...args: string[]) => Promise<{ status: number; output: string }>;

/** A copy of the checkout in which these steps have been followed. */
async function copyWith(some: typeof steps): Promise<{ folder: string; bun: Bun }> {
  const folder = await mkdtemp(join(tmpdir(), "orderflow-recipe-"));
  cleanUps.push(() => rm(folder, { recursive: true, force: true }));
  await cp(ROOT, folder, { recursive: true, filter: isCopied });
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  for (const step of some) await follow(step, folder);

  const { POSTGRES_URL: _, POSTGRES_URL_FILE: __, KAFKA_BROKERS: ___, ...env } = process.env;
  return {
    folder,
    bun: async (...args) => {
      const child = Bun.spawn([process.execPath, ...args], {
        cwd: folder,
        env: { ...env, PORTS: "free" },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      });
      cleanUps.unshift(async () => {
        child.kill();
        await child.exited;
      });
      const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
      return { status: await child.exited, output: out + err };
    },
  };
}
