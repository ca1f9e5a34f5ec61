/**
 * Traces that the documents show are whole in themselves. That the services make them so is seen where they are
 * made: tests/demo.test.ts (README.md), tests/slow/faults.test.ts, tests/slow/http-instrumentation.test.ts.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { FAULTS } from "#lib/service/faults.ts";
import { SERVICE_NAMES } from "#lib/service/services.ts";
import {
  differences,
  drawnBeside,
  drawnTraces,
  type DrawnTrace,
  type RealSpan,
} from "./support/docs/drawn-trace.ts";
import { sectionOf } from "./support/docs/sections.ts";

const read = (path: string) => readFileSync(join(import.meta.dir, "..", path), "utf8");
const readme = read("README.md");
const faults = read("docs/faults.md");
const telemetry = read("docs/telemetry.md");

const all = [
  ...drawnTraces(readme).map((trace) => ["README.md", trace] as const),
  ...drawnTraces(faults).map((trace) => ["docs/faults.md", trace] as const),
  ...[...drawnBeside(telemetry).values()].map((trace) => ["docs/telemetry.md", trace] as const),
];

/** @returns what a drawing says of itself that is not so */
function contradictions({ spans, spanCount, serviceCount }: DrawnTrace): string[] {
  const services = new Set(spans.map(({ service }) => service));
  const ours: readonly string[] = SERVICE_NAMES;
  const wrong = [
    spans.length === spanCount || `${spanCount} spans, drawn are ${spans.length}`,
    (serviceCount ?? services.size) === services.size ||
      `${serviceCount} services, drawn are ${services.size}`,
    ...[...services].map((name) => ours.includes(name) || `no service ${name}`),
    ...spans.map(({ name, depth }, index) => {
      const before = spans[index - 1]?.depth ?? -1;
      return (/^[\w/]/.test(name) && depth <= before + 1) || `row ${index + 1} hangs below nothing`;
    }),
  ];
  return wrong.filter((problem) => problem !== true);
}

test("each drawn trace has as many spans and services as its head says, each below another", () => {
  expect(all.length).toBe(1 + (2 + Object.keys(FAULTS).length) + 2);
  const problems = all.flatMap(([page, trace]) =>
    contradictions(trace).map((problem) => `${page}:${trace.line}: ${problem}`),
  );
  expect(problems).toEqual([]);
});

test("docs/faults.md draws a trace for each fault, and says what its comparison has", () => {
  for (const fault of Object.keys(FAULTS)) {
    expect([fault, drawnTraces(sectionOf(faults, fault) ?? "").length > 0]).toEqual([fault, true]);
  }
  const beside = drawnBeside(telemetry);
  const [, manual, elysia] =
    /\| spans for this order +\| (\d+) +\| (\d+) +\|/.exec(telemetry) ?? [];
  expect([beside.get("manual")?.spanCount, beside.get("elysia")?.spanCount]).toEqual([
    Number(manual),
    Number(elysia),
  ]);
});

const ID = "0".repeat(32);
const DRAWN = `trace ${ID}  4 spans, 2 services, 2.01 s
              0 ╌╌╌╌╌╌╌╌╌╌╌ 2.01 s
orders  GET /orders ████████   2.01 s
orders  ├ ✗ POST   ██          3.1 ms
        │ │ it is late
email   │ └ POST /send          3.1 ms
orders  └ UPDATE orders.orders SEL…   ▏ 1.0 ms
↗ links to other spans
`;
const REAL: readonly RealSpan[] = [
  { service: "orders", name: "GET /orders", isFailed: false, id: "1", parentId: "caller" },
  { service: "orders", name: "POST", isFailed: true, id: "2", parentId: "1" },
  { service: "email", name: "POST /send", isFailed: false, id: "3", parentId: "2" },
  {
    service: "orders",
    name: "UPDATE orders.orders SELECT x",
    isFailed: false,
    id: "4",
    parentId: "1",
  },
];

describe("a drawing", () => {
  const [drawn] = drawnTraces(DRAWN);
  if (!drawn) throw new Error("nothing is drawn");

  test("that is right is the real trace, in whatever order", () => {
    expect(contradictions(drawn)).toEqual([]);
    expect(differences(drawn, REAL)).toEqual([]);
    expect(differences(drawn, REAL.toReversed())).toEqual([]);
  });

  test.each([
    ["4 spans", "5 spans"],
    ["2 services", "3 services"],
    ["email   ", "e-mail  "],
    ["│ └ POST", "│ │ └ POST"],
  ])("that says %p as %p contradicts itself", (right, wrong) => {
    const [other] = drawnTraces(DRAWN.replace(right, wrong));
    expect(other && contradictions(other)).not.toEqual([]);
  });

  test.each([
    ["is called otherwise", "GET /orders ", "GET /order  "],
    ["has not failed", "✗ POST", "POST  "],
    ["is below another", "│ └ POST /send", "├ POST /send  "],
    ["is of another service", "email ", "worker"],
    ["is cut elsewhere", "orders.orders SEL…", "orders.orders INS…"],
  ])("of a span that %s differs", (_, right, wrong) => {
    const [other] = drawnTraces(DRAWN.replace(right, wrong));
    expect(other && differences(other, REAL)).not.toEqual([]);
  });

  test("that lacks a span, or has one more, differs", () => {
    expect(differences(drawn, REAL.slice(0, -1))).toHaveLength(1);
    const more = { ...REAL[3]!, id: "5", name: "COMMIT" };
    expect(differences(drawn, [...REAL, more])).toEqual([
      "not shown: orders GET /orders > orders COMMIT",
    ]);
  });
});
