// What the lockfile holds: two copies of an OpenTelemetry package would not know of each other's spans.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Glob } from "bun";
import layerJson from "../lib/telemetry/package.json" with { type: "json" };
import packageJson from "../package.json" with { type: "json" };
import peersJson from "../scripts/bench/peers/package.json" with { type: "json" };

const ROOT = join(import.meta.dir, "..");
const lockfile = await Bun.file(join(ROOT, "bun.lock")).text();

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

test("no instrumentation package of Node's is among what the services use", async () => {
  const pattern = /auto-instrumentations|\/instrumentation-/;
  expect(Object.keys(packageJson.dependencies).filter((name) => pattern.test(name))).toEqual([]);
  // The tutorial has some, to show what they do here.
  for await (const file of new Glob("{lib,services}/**/*.ts").scan(ROOT)) {
    const text = await Bun.file(join(ROOT, file)).text();
    for (const [, from = ""] of text.matchAll(/(?:from|import|require)\(? ?"([^"]+)"/g)) {
      expect(from, file).not.toMatch(pattern);
    }
  }
});

test("the peers of the benchmark are pinned, and trace with the SDK's version that we have", () => {
  for (const [name, version] of Object.entries<string>(peersJson.dependencies)) {
    expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
    const ours = copies.find((copy) => copy.name === name)?.version;
    expect(version, name).toBe(ours ?? version);
  }
});

describe("the package of lib/telemetry", () => {
  const LAYER = join(import.meta.dir, "../lib/telemetry");

  test("asks for the versions that are locked here", () => {
    for (const [name, version] of Object.entries(layerJson.dependencies)) {
      expect(copies).toContainEqual({ name, version });
    }
  });

  test("needs just the packages that its files import, and none of ours", async () => {
    const imported = new Set<string>();
    for await (const file of new Glob("**/*.ts").scan(LAYER)) {
      if (/\.test\.ts$|^testing\/|^examples\//.test(file)) continue;
      const text = await Bun.file(join(LAYER, file)).text();
      for (const [, from = ""] of text.matchAll(/(?:from|import|require)\(? ?"([^"]+)"/g)) {
        if (from.startsWith(".")) {
          expect(join(LAYER, file, "..", from), file).toStartWith(`${LAYER}/`);
        } else if (from !== "bun" && !from.startsWith("node:")) {
          imported.add(/^(@[^/]+\/)?[^/]+/.exec(from)?.[0] ?? from);
        }
      }
    }
    const { dependencies, peerDependencies, peerDependenciesMeta } = layerJson;
    expect([...imported].sort()).toEqual(
      Object.keys({ ...dependencies, ...peerDependencies }).sort(),
    );
    expect(Object.keys(peerDependenciesMeta)).toEqual(Object.keys(peerDependencies));
  });

  test("has a file for each entry", async () => {
    for (const [entry, target] of Object.entries(layerJson.exports)) {
      const files = typeof target === "string" ? [target] : Object.values(target);
      for (const file of files) {
        expect(await Bun.file(join(LAYER, file)).exists(), entry).toBe(true);
      }
    }
  });
});
