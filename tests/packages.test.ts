// What the lockfile holds: two copies of an OpenTelemetry package would not know of each other's spans.
import { expect, test } from "bun:test";
import { join } from "node:path";
import packageJson from "../package.json" with { type: "json" };

const lockfile = await Bun.file(join(import.meta.dir, "../bun.lock")).text();

/** Every copy in the lockfile: `"@opentelemetry/core": ["@opentelemetry/core@2.12.0", …]`. */
const copies = [...lockfile.matchAll(/^ {4}"[^"]+": \["(@?[^"@]+)@([^"]+)"/gm)].map(
  ([, name = "", version = ""]) => ({ name, version }),
);

test("there is one copy of each @opentelemetry package", () => {
  const ours = copies.filter(({ name }) => name.startsWith("@opentelemetry/"));
  expect(ours.map(({ name }) => name)).toContain("@opentelemetry/sdk-trace-base");
  const byName = Map.groupBy(ours, ({ name }) => name);
  const doubled = [...byName].filter(([, all]) => all.length > 1);
  expect(doubled).toEqual([]);
});

test("every version in package.json is exact, and the one that is locked", () => {
  const wanted = Object.entries({ ...packageJson.dependencies, ...packageJson.devDependencies });
  for (const [name, version] of wanted) {
    expect(version, name).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
    expect(copies).toContainEqual({ name, version });
  }
});

test("no instrumentation package of Node's is among our own dependencies", () => {
  const names = Object.keys({ ...packageJson.dependencies, ...packageJson.devDependencies });
  expect(names.filter((name) => /auto-instrumentations|\/instrumentation-/.test(name))).toEqual([]);
});
