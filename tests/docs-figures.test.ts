/** What was measured stands in docs/benchmarks.md; where it is quoted or reckoned with, it is the same. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { openRepository } from "../scripts/check-docs/repository.ts";
import { targetOf } from "../scripts/check-docs/target.ts";
import { passagesOf } from "./support/docs/passages.ts";
import { sectionOf, Table } from "./support/docs/sections.ts";
import { falsified, wrongStatements, type Statement } from "./support/docs/statements.ts";

const BENCHMARKS = "docs/benchmarks.md";
const OPERATIONS = "docs/operations.md";
const repository = openRepository(join(import.meta.dir, ".."));
const benchmarks = repository.read(BENCHMARKS);
const operations = repository.read(OPERATIONS);

const section = (page: string, anchor: string) => {
  const text = sectionOf(page, anchor);
  if (text === undefined) throw new Error(`there is no section ${anchor}`);
  return text;
};

/** A number with its fraction: "1,000", "0.67", not the 2 of "p2". */
const NUMBER = /(?<![\w.,-])\d[\d,]*(?:\.\d+)?(?![\w]|[.,]\d)/g;
/** A figure that was measured, and not reckoned. */
const MEASURED = "M";

/**
 * Whoever links to a section of the benchmarks with figures in the same sentence, or row, quotes them from there;
 * so does whoever marks a figure as measured, and links to any section.
 * @returns the figures that none of the linked sections has, neither so nor with further digits
 */
function misquoted(path: string, read: (path: string) => string): string[] {
  const page = read(path);
  // Most pages do not, and reading all of them takes seconds.
  if (path === BENCHMARKS || !page.includes("benchmarks.md")) return [];
  return passagesOf(page).flatMap(({ text, links, bold, line }) => {
    const targets = links.flatMap((url) => targetOf(path, url) ?? []);
    const isQuoted = bold.includes(MEASURED) && targets.some(({ anchor }) => anchor !== "");
    if (!isQuoted && !targets.some((target) => target.path === BENCHMARKS)) return [];
    const sources = targets
      .filter((target) => target.path.endsWith(".md"))
      .map((target) => sectionOf(read(target.path), target.anchor) ?? "");
    const known = numbersIn(sources.join("\n"));
    return numbersIn(text)
      .filter((figure) => !known.some((source) => isRounded(figure, source)))
      .map((figure) => `${path}:${line}: ${figure}`);
  });
}

/** @returns figures marked as measured in a sentence or row that does not say where */
function unsourced(path: string, page: string): string[] {
  return passagesOf(page)
    .filter(({ bold, text }) => bold.includes(MEASURED) && numbersIn(text).length > 0)
    .filter(({ links, code }) => {
      const isLinked = links.some((url) => targetOf(path, url)?.anchor);
      return !isLinked && !code.some((one) => /^bench \w+$|^EXPLAIN/.test(one));
    })
    .map(({ text, line }) => `${path}:${line}: ${text}`);
}

function numbersIn(text: string): string[] {
  return (text.match(NUMBER) ?? []).map((number) => number.replaceAll(",", ""));
}

function isRounded(figure: string, source: string): boolean {
  const [, fraction = ""] = figure.split(".");
  return Number(source).toFixed(fraction.length) === Number(figure).toFixed(fraction.length);
}

test("a figure beside a link to the benchmarks is one of the linked section", () => {
  const pages = [...repository.files].filter((path) => path.endsWith(".md"));
  expect(pages.flatMap((path) => misquoted(path, repository.read))).toEqual([]);
});

test("what docs/operations.md calls measured says where it was measured", () => {
  expect(unsourced(OPERATIONS, operations)).toEqual([]);
});

const problemsOf = (text: string) =>
  misquoted("docs/page.md", (path) =>
    path === BENCHMARKS ? "# B\n\n## Flow\n\n0.667 ms, 1,000 a second\n\n## Other\n\n44 %\n" : text,
  );

describe("a quotation", () => {
  test.each([
    ["of a figure", "It takes 0.667 ms ([measured](benchmarks.md#flow))."],
    ["of a rounded one", "It takes 0.67 ms, of 1000 ([measured](benchmarks.md#flow))."],
    ["from two sections", "[44 %](benchmarks.md#other) and [0.67](benchmarks.md#flow)."],
    ["from the whole page", "[44 %](benchmarks.md) of it."],
    ["with another sentence beside it", "There are 7. [Measured](benchmarks.md#flow): 0.67."],
    ["with code beside it", "[Measured](benchmarks.md#flow) by `bench 99`: 0.67."],
  ])("%s is fine", (_, text) => {
    expect(problemsOf(text)).toEqual([]);
  });

  test.each([
    ["of a figure that is not there", "It takes 0.68 ms ([measured](benchmarks.md#flow)).", "0.68"],
    ["with a digit more", "It takes 0.6671 ms ([measured](benchmarks.md#flow)).", "0.6671"],
    ["from another section", "[44 %](benchmarks.md#flow).", "44"],
    ["in a table", "| a | b |\n| - | - |\n| 7 | [x](benchmarks.md#flow) |", "7"],
  ])("%s is found", (_, text, figure) => {
    expect(problemsOf(text)).toEqual([
      expect.stringMatching(new RegExp(`^docs/page.md:\\d: ${figure}$`)),
    ]);
  });

  test("that is called measured, and of which nobody knows where, is found", () => {
    expect(unsourced("docs/page.md", "It takes 3 ms (**M**). It is 4 (**R**).")).toHaveLength(1);
    expect(unsourced("docs/page.md", "It takes 3 ms (**M**, `bench sizes`).")).toEqual([]);
    expect(unsourced("docs/page.md", "It takes 3 ms (**M**, [there](#limits)).")).toEqual([]);
  });
});

/** A cell's figures, lowest first where it is right. */
const spreads = (text: string) =>
  [...text.matchAll(/([\d,.]+)( %)? \(([\d,.]+)(?: %)? to ([\d,.]+)(?: %)?\)/g)].map(
    ([cell, middle, , low, high]) => ({ cell, figures: [low, middle, high].map(plain) }),
  );
const percentiles = (text: string) =>
  [...text.matchAll(/([\d,.]+) \/ ([\d,.]+) \/ ([\d,.]+)/g)].map(([cell, ...figures]) => ({
    cell,
    figures: figures.map(plain),
  }));
const disordered = (all: { cell: string; figures: number[] }[]) =>
  all
    .filter(({ figures }) =>
      figures.some((figure, index) => figure > (figures[index + 1] ?? Infinity)),
    )
    .map(({ cell }) => cell);

describe("a table of the benchmarks", () => {
  test("has each median between its ends, and each p50 below its p95 below its p99", () => {
    expect(spreads(benchmarks).length).toBeGreaterThan(80);
    expect(disordered(spreads(benchmarks))).toEqual([]);
    expect(percentiles(benchmarks).length).toBeGreaterThan(20);
    expect(disordered(percentiles(benchmarks))).toEqual([]);
    expect(disordered(spreads("88 % (89 % to 90 %)"))).toHaveLength(1);
    expect(disordered(percentiles("3.2 / 5.9 / 5.8"))).toHaveLength(1);
  });

  test("of processor time has the sum of its rows in the last one", () => {
    const flow = section(benchmarks, "the-flow");
    for (const which of [1, 3]) {
      const table = new Table(flow, which);
      const parts = table.rows.map(([first = ""]) => first).filter((first) => first !== "sum");
      for (const column of ["CPU on", "CPU off"]) {
        const sum = parts.reduce((all, part) => all + table.number(part, column), 0);
        expect([which, column, sum.toFixed(2)]).toEqual([which, column, table.cell("sum", column)]);
      }
    }
  });

  test("of the flow has the ratio of its two columns, as far as two rounds tell", () => {
    for (const which of [0, 2]) {
      const table = new Table(section(benchmarks, "the-flow"), which);
      for (const [row = ""] of table.rows) {
        const ratio = (100 * table.number(row, "telemetry on")) / table.number(row, "off");
        expect(Math.abs(ratio - table.number(row, "on / off")), row).toBeLessThan(1.5);
      }
    }
  });
});

const flow = new Table(section(benchmarks, "the-flow"), 0);
const usage = new Table(section(benchmarks, "the-flow"), 1);
const later = new Table(section(benchmarks, "the-flow"), 2);
const overhead = new Table(section(benchmarks, "overhead"));
const peers = new Table(section(benchmarks, "beside-express-and-fastify-on-node"));
const SERVICES = ["gateway", "orders", "inventory", "worker", "email"];

const rate = (row: string) => flow.number(row, "telemetry on");
const kept = (row: string, table = flow) => (table.number(row, "on / off") / 100).toFixed(2);
const addedUs = (row: string, table = overhead) =>
  table.number(row, "added server CPU, µs/request");
const share = (row: string) => `${overhead.number(row, "share of bare")}`;
const spansAnOrder = Number(/\(([\d.]+) spans; none dropped/.exec(benchmarks)?.[1]);
const tracingMs = usage.number("sum", "CPU on") - usage.number("sum", "CPU off");
const servicesMs = SERVICES.reduce((sum, name) => sum + usage.number(name, "CPU on"), 0);
const rounded = (number: number, digits = 0) => number.toFixed(digits);
const onOff = flow.rows.map(([row = ""]) => row).filter((row) => row !== "orders settled");
const onOffOf = (pick: (...all: number[]) => number) =>
  rounded(pick(...onOff.map((row) => flow.number(row, "on / off"))) / 100, 2);

/** The page's own words on its tables. */
const IN_BENCHMARKS: readonly Statement[] = [
  {
    says: /\(POST ([\d,]+), ([\d,]+) and ([\d,]+) a second at 1, 16 and 64 connections; GET by id ([\d,]+); (\d+) settled/,
    // The Go edition's, which is nowhere else: the ratios below are held to them.
    is: [9, 137, 190, 601, 7],
  },
  {
    says: /with telemetry on: POST ([\d.]+), ([\d.]+) and ([\d.]+) times; GET by id ([\d.]+) times; settled ([\d.]+) times/,
    is: [
      rounded(rate("POST /orders, 1 connection") / 9),
      rounded(rate("POST /orders, 16 connections") / 137, 1),
      rounded(rate("POST /orders, 64 connections") / 190, 1),
      rounded(rate("GET /orders/{id} of 1,000, 16 connections") / 601),
      rounded(rate("orders settled") / 7),
    ],
  },
  {
    says: /without telemetry it is ([\d.]+) times/,
    is: [rounded(flow.number("POST /orders, 16 connections", "off") / 137, 1)],
  },
  { says: /all of an order's work, ([\d.]+) ms/, is: [rounded(usage.number("sum", "CPU on"), 1)] },
  { says: /Settling, which waits for mails, keeps ([\d.]+)\./, is: [kept("orders settled")] },
  {
    says: /it is ([\d.]+) to ([\d.]+), below the aim/,
    is: [onOffOf(Math.min), onOffOf(Math.max)],
  },
  {
    says: /: ([\d.]+) ms of CPU an order, (\d+) µs for each of its (\d+) spans/,
    is: [rounded(tracingMs, 1), rounded((1_000 * tracingMs) / spansAnOrder), rounded(spansAnOrder)],
  },
  { says: /the five services together ([\d.]+)/, is: [rounded(servicesMs, 2)] },
  {
    says: /Settling keeps ([\d.]+), the aim being [\d.]+; where load and services share the two processors, POSTs keep ([\d.]+)/,
    is: [kept("orders settled", later), kept("POST /orders, 16 connections", later)],
  },
  {
    says: /in turns with ten others, .*?, (\d+) % and (\d+) %\./,
    is: [share("our layer"), share("our layer, unsampled parent")],
  },
  {
    says: /two spans, the route and the request metrics cost (\d+) µs here; on Node two spans without the route cost (\d+), four with it (\d+), and Express's five (\d+)/,
    is: [
      rounded(addedUs("our layer", peers)),
      rounded(addedUs("Node Fastify, auto-instrumentations", peers)),
      rounded(addedUs("Node Fastify, the same and @fastify/otel", peers)),
      rounded(addedUs("Node Express, auto-instrumentations", peers)),
    ],
  },
];

/** Fractions in words: what the words mean, and the ratio that they stand for. */
const FRACTIONS: readonly (readonly [page: string, words: RegExp, means: number, is: number])[] = [
  [
    benchmarks,
    /adds two fifths of what it adds with the SDK's/,
    2 / 5,
    addedUs("our layer") / addedUs("our layer, the SDK's tracer"),
  ],
  [
    benchmarks,
    /half of what the stock SDK by\s+hand adds/,
    1 / 2,
    addedUs("our layer") / addedUs("stock SDK by hand, no metrics"),
  ],
  [
    benchmarks,
    /a third of what the plain path does/,
    1 / 3,
    addedUs("our layer") / addedUs("our layer, plain path"),
  ],
  [
    benchmarks,
    /two thirds of what a\s+sampled one costs/,
    2 / 3,
    addedUs("our layer, unsampled parent") / addedUs("our layer"),
  ],
  [
    repository.read("docs/architecture.md"),
    /a good half of what tracing costs/,
    0.57,
    1 - addedUs("our layer") / addedUs("our layer, the SDK's tracer"),
  ],
];

/** docs/operations.md, reckoned from what was measured: an order a day is the unit. */
const scale = new Table(section(operations, "how-far-it-scales"), 1);
const ofAnOrder = new Table(section(operations, "how-far-it-scales"), 0);
const measured = (row: string, pattern: RegExp) =>
  Number((pattern.exec(ofAnOrder.cell(row, "")) ?? [])[1]);
const limits = new Table(section(operations, "limits-measured"));
const busyMs = (service: string) =>
  Number(
    new RegExp(`${service} ([\\d.]+)`).exec(
      limits.cell("processor time an order, five services together", "measured"),
    )?.[1],
  );

function reckoned(ordersADay: number) {
  const mean = ordersADay / 86_400;
  const peak = 5 * mean;
  const rowBytes =
    measured("rows that stay, with indexes", /`orders.orders` (\d+) bytes/) +
    measured("rows that stay, with indexes", /`order_items` (\d+) for two/);
  return { mean, peak, rowBytes };
}

/** With two digits. */
const two = (number: number) => Number(number.toPrecision(2));
const column = (row: string, orders: string) => numbersIn(scale.cell(row, orders)).map(Number);

describe("what is reckoned", () => {
  const million = reckoned(1e6);
  const most = reckoned(1e8);

  test("of orders a second follows from orders a day", () => {
    expect(column("a second: mean, peak (**R**)", "1,000,000")).toEqual([12, 58]);
    expect([million.mean, million.peak].map(Math.round)).toEqual([12, 58]);
    const [mean, peak] = column("a second: mean, peak (**R**)", "100,000,000");
    expect([mean, peak]).toEqual([1_160, 5_800]);
    expect(Math.abs(most.mean - 1_160) / 1_160).toBeLessThan(0.01);
    expect(Math.abs(most.peak - 5_800) / 5_800).toBeLessThan(0.01);
  });

  test("of cores and pods follows from an order's processor time, at its best and as it was under other load", () => {
    const best = most.peak * servicesMs;
    const worst = most.peak * SERVICES.reduce((sum, name) => sum + busyMs(name), 0);
    const [low = 0, high = 0] = column("services, cores at the peak (**R**)", "100,000,000");
    expect(Math.abs(low - best / 1_000)).toBeLessThan(1);
    expect(Math.abs(high - worst / 1_000)).toBeLessThan(3);
    for (const service of SERVICES) {
      const row =
        service === "gateway" ? "gateway, pods at 600m each (**R**)" : `${service} (**R**)`;
      const [few = 0, many = 0] = column(row, "100,000,000").slice(-2);
      const needs = [usage.number(service, "CPU on"), busyMs(service)].map(
        (ms) => (most.peak * ms) / 600,
      );
      expect(Math.abs(few - Math.max(2, needs[0] ?? 0)), row).toBeLessThan(1);
      expect(Math.abs(many - Math.max(2, needs[1] ?? 0)), row).toBeLessThan(1);
    }
    const [postgres = 0] = column("PostgreSQL, cores at the peak (**R**)", "100,000,000");
    expect(postgres).toBe(Math.round((most.peak * usage.number("PostgreSQL", "CPU on")) / 1_000));
  });

  test("of connections follows from the pods", () => {
    const pods = (service: string) => column(`${service} (**R**)`, "100,000,000");
    const [orders = [], inventory = []] = [pods("orders"), pods("inventory")];
    expect(column("PostgreSQL connections, 16 a pod (**R**)", "100,000,000")).toEqual(
      orders.map((count, index) => 16 * (count + (inventory[index] ?? 0))),
    );
    expect(column("PostgreSQL connections, 16 a pod (**R**)", "1,000,000")).toEqual([64]);
  });

  test("of bytes and spans follows from those of one order", () => {
    const wal = 1_000 * measured("WAL", /([\d.]+) KB/);
    const record = measured("Kafka record", /(\d+) bytes/);
    expect(column("WAL a day (**R**)", "1,000,000")).toEqual([wal / 1_000]);
    expect(column("WAL a day (**R**)", "100,000,000")).toEqual([wal / 10]);
    const [, walASecond] = column("PostgreSQL, cores at the peak (**R**)", "100,000,000");
    expect(walASecond).toBe(two((most.peak * wal) / 1e6));
    const [day, year] = column("tables and indexes, a day and a year (**R**)", "1,000,000");
    expect([day, year]).toEqual(
      [million.rowBytes / 1_000, (million.rowBytes * 365) / 1_000].map((gb, index) =>
        Number(gb.toFixed(index === 0 ? 1 : 0)),
      ),
    );
    expect(column("tables and indexes, a day and a year (**R**)", "100,000,000")).toEqual([
      Math.round(million.rowBytes / 10),
      Math.floor((million.rowBytes * 365) / 10_000),
    ]);
    expect(column("Kafka, 3 replicas, kept 7 days (**R**)", "1,000,000")).toEqual([
      Number(((record * 21) / 1_000).toFixed(1)),
    ]);
    const [spans] = column("spans a second: mean, peak (**R**)", "1,000,000");
    expect(spans).toBe(two(million.mean * spansAnOrder));
  });
});

/** docs/operations.md quotes these in a range or a sum, which no single figure of the benchmarks is. */
const IN_OPERATIONS: readonly Statement[] = [
  { says: /\*\*M\*\* (\d+) to (\d+); 55 KB/, is: ["20", rounded(spansAnOrder)] },
];

describe.each([
  [BENCHMARKS, benchmarks, IN_BENCHMARKS],
  [OPERATIONS, operations, IN_OPERATIONS],
])("%s", (_, page, statements) => {
  test("draws from its tables what they say", () => {
    expect(wrongStatements(page, statements)).toEqual([]);
  });

  test("would be found wrong in each of these figures", () => {
    for (const statement of statements) {
      for (const { figure, page: other } of falsified(page, statement)) {
        expect(
          wrongStatements(other, [statement]),
          `${statement.says.source}: ${figure}`,
        ).not.toEqual([]);
      }
    }
  });
});

test("fractions in words are those of the tables, by a tenth", () => {
  for (const [page, words, means, is] of FRACTIONS) {
    expect(page).toMatch(words);
    expect(Math.abs(means - is) / is, words.source).toBeLessThan(0.1);
  }
});

function plain(text = ""): number {
  return Number(text.replaceAll(",", ""));
}
