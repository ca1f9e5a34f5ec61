import { expect, test } from "bun:test";
import { planKills } from "./kills.ts";
import { parseOptions } from "./options.ts";
import { planOrder, stockFor } from "./order-mix.ts";
import { createRandom } from "./random.ts";
import { CLUSTER_VICTIMS, isNodeVictim, VICTIMS } from "./victims.ts";

const SEEDS = [0, 1, 2, 0xffffffff];

test("the same seed plans the same kills and the same orders", () => {
  for (const seed of SEEDS) {
    const plan = () => {
      const random = createRandom(seed);
      const orders = Array.from({ length: 50 }, (_, number) => planOrder(random, seed, number));
      return { orders, kills: planKills(random, 20) };
    };
    expect(plan()).toEqual(plan());
  }
});

test("seeds differ in the order of their kills", () => {
  const plans = SEEDS.map((seed) => planKills(createRandom(seed), 8).flat().join());
  expect(new Set(plans).size).toBe(SEEDS.length);
});

test("every victim is killed once before any is killed again", () => {
  for (const seed of SEEDS) {
    const plan = planKills(createRandom(seed), 2 * VICTIMS.length).flat();
    expect(plan.slice(0, VICTIMS.length).toSorted()).toEqual([...VICTIMS].sort());
    expect(plan.slice(VICTIMS.length).toSorted()).toEqual([...VICTIMS].sort());
  }
});

test("with a cluster too every victim comes once before any comes again, and no two nodes at a time", () => {
  for (const seed of SEEDS) {
    const plan = planKills(createRandom(seed), 3 * CLUSTER_VICTIMS.length, CLUSTER_VICTIMS);
    const round = plan.flat().slice(0, CLUSTER_VICTIMS.length);
    expect(round.toSorted()).toEqual([...CLUSTER_VICTIMS].sort());
    for (const victims of plan) {
      expect(victims.filter(isNodeVictim).length).toBeLessThanOrEqual(1);
    }
  }
});

test("the worker dies while something that it calls is down", () => {
  for (const seed of SEEDS) {
    const plan = planKills(createRandom(seed), 8);
    const [first] = plan.find((victims) => victims.includes("worker")) ?? [];
    expect(["orders", "inventory", "email", "postgres"]).toContain(first ?? "");
  }
});

test("a plan has as many kills as asked for", () => {
  for (const kills of [0, 1, 3, 8, 21]) {
    expect(planKills(createRandom(5), kills).flat()).toHaveLength(kills);
  }
});

test("orders that must be confirmed cannot run out of stock, those for the scarce items do", () => {
  const orders = 2_000;
  const stock = new Map(
    stockFor(orders, orders).map(({ itemId, available }) => [itemId, available]),
  );
  const random = createRandom(7);
  const wanted = new Map<string, number>();
  const expectations = new Set<string>();
  for (let number = 0; number < orders; number++) {
    const { items, expected } = planOrder(random, 7, number);
    expectations.add(expected);
    for (const { item_id, quantity } of items) {
      wanted.set(item_id, (wanted.get(item_id) ?? 0) + quantity);
    }
    const hasUnknown = items.some(({ item_id }) => !stock.has(item_id));
    expect(hasUnknown).toBe(expected === "cancelled");
  }
  expect([...expectations].sort()).toEqual(["cancelled", "confirmed", "either"]);
  for (const [itemId, available] of stock) {
    const isScarce = itemId.startsWith("CHAOS-B");
    expect((wanted.get(itemId) ?? 0) > available).toBe(isScarce);
  }
});

test("a malformed option is named", () => {
  expect(() => parseOptions(["--orders", "many"])).toThrow("--orders");
  expect(() => parseOptions(["--seed", "4294967296"])).toThrow("--seed");
  expect(() => parseOptions(["--sabotage"])).toThrow("--sabotage");
  expect(() => parseOptions(["--cluster", "--kafka-outage-seconds", "9"])).toThrow("--cluster");
});
