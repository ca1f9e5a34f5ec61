import { expect, test } from "bun:test";
import { baseOf, chooseVariants, isPeer } from "./overhead-variants.ts";

const chosen = (only?: string, peers = false) =>
  chooseVariants(only, { peers }).map(({ id }) => id);

test("each variant comes with the bare one that it is compared with, before it", () => {
  expect(chosen("layer")).toEqual(["bare", "layer"]);
  expect(chosen("node-fastify-auto")).toEqual(["node-fastify", "node-fastify-auto"]);
  const all = chosen(undefined, true);
  for (const variant of chooseVariants(undefined, { peers: true })) {
    expect(all.indexOf(baseOf(variant))).toBeWithin(0, all.indexOf(variant.id) + 1);
  }
});

test("nothing needs Node that does not ask for it", () => {
  expect(chooseVariants(undefined).some(isPeer)).toBe(false);
});

test("the peers take part whatever else is chosen", () => {
  const [bare, stock, ...others] = chooseVariants("stock", { peers: true });
  expect([bare?.id, stock?.id]).toEqual(["bare", "stock"]);
  expect(others).not.toBeEmpty();
  expect(others.every(isPeer)).toBe(true);
});

test("an unknown id is told all that are known", () => {
  expect(() => chosen("layers")).toThrow(/--only takes bare, layer, .*node-fastify-plugin/);
});

test("the steps lead from the plain path to the whole layer, one part of speed/ more each", () => {
  const steps = chooseVariants(undefined, { steps: true });
  expect(steps.map(({ id }) => id)).toEqual([
    "bare",
    "plain",
    "with-contexts",
    "with-headers",
    "with-attributes",
    "with-tracer",
  ]);
  expect(steps.map(({ env }) => env?.["ORDERFLOW_TELEMETRY_SPEED"])).toEqual([
    undefined,
    "off",
    "contexts",
    "contexts,headers",
    "contexts,headers,attributes",
    "contexts,headers,attributes,tracer",
  ]);
});
