import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { endingOrder, factsOf, neededBy, SERVICE_NAMES, urlVariable } from "./services.ts";

const FOLDER = join(import.meta.dir, "../../services");

test("every folder of services/ is a service of the list, and has a program", () => {
  const folders = readdirSync(FOLDER, { withFileTypes: true }).filter((one) => one.isDirectory());
  expect(folders.map(({ name }) => name).sort()).toEqual([...SERVICE_NAMES].sort());
  for (const name of SERVICE_NAMES) expect(existsSync(join(FOLDER, name, "index.ts"))).toBe(true);
});

test("no two have one port, and whom they call is there", () => {
  const ports = SERVICE_NAMES.map((name) => factsOf(name).port);
  expect(new Set(ports).size).toBe(ports.length);
  for (const name of SERVICE_NAMES) {
    for (const other of factsOf(name).calls)
      expect(SERVICE_NAMES as readonly string[]).toContain(other);
  }
});

test("callers end before those whom they call", () => {
  const order = endingOrder();
  expect(order.flat().sort()).toEqual([...SERVICE_NAMES].sort());
  const groupOf = (name: string) => order.findIndex((group) => group.some((one) => one === name));
  for (const name of SERVICE_NAMES) {
    for (const other of factsOf(name).calls) expect(groupOf(name)).toBeLessThan(groupOf(other));
  }
});

test("what a service needs has its value, and nothing else", () => {
  const values = { postgres: () => "p", kafka: () => "k", url: (name: string) => `u-${name}` };
  expect(neededBy("email", values)).toEqual({});
  expect(neededBy("orders", values)).toEqual({ POSTGRES_URL: "p", KAFKA_BROKERS: "k" });
  expect(neededBy("gateway", values)).toEqual(
    Object.fromEntries(factsOf("gateway").calls.map((name) => [urlVariable(name), `u-${name}`])),
  );
  expect(urlVariable("orders")).toBe("ORDERS_SERVICE_URL");
});

test("a name is one word: variables, host names and folders are made of it", () => {
  for (const name of SERVICE_NAMES) expect(name).toMatch(/^[a-z]+$/);
});
