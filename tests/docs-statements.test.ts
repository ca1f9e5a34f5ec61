/** Limits, defaults, counts and versions in the documents are those of the code. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { ORDER_SERVICES, SERVICES } from "#lib/service/services.ts";
import packageJson from "../package.json" with { type: "json" };
import { openRepository } from "../scripts/check-docs/repository.ts";
import { literalOf, quantityOf } from "./support/docs/quantity.ts";
import { constantIn } from "./support/docs/source-constant.ts";
import { configured, STATED } from "./support/docs/stated.ts";
import { falsified, flatten, wrongStatements, type Statement } from "./support/docs/statements.ts";

const repository = openRepository(join(import.meta.dir, ".."));
const pages = [...repository.files].filter((path) => path.endsWith(".md"));
const BUN = packageJson.devDependencies["@types/bun"];

describe.each(Object.entries(STATED))("%s", (path, statements) => {
  const page = repository.read(path);

  test("states what the code has", () => {
    expect(wrongStatements(page, statements)).toEqual([]);
  });

  test("would be found wrong in each of its figures", () => {
    for (const statement of statements) {
      const others = [...falsified(page, statement)];
      expect(others.length).toBeGreaterThan(0);
      for (const { figure, page: other } of others) {
        const problems = wrongStatements(other, [statement]);
        expect(problems, `${figure}, by ${statement.says.source}`).not.toEqual([]);
      }
    }
  });
});

/** What holds on every page, wherever it is said. */
function wrongOf(text: string): string[] {
  const page = flatten(text);
  const wrong: string[] = [];
  const each = (pattern: RegExp, isRight: (...groups: string[]) => boolean) => {
    for (const [said, ...groups] of page.matchAll(pattern)) {
      if (!isRight(...groups)) wrong.push(said);
    }
  };
  each(/\bbun@([\d.]+)/g, (version) => version === BUN);
  each(/\bBun (\d+\.[\d.]*\d)/g, (version) => version === BUN);
  // A default beside its variable: "`WORKER_CONCURRENCY` (128)".
  each(/`([A-Z][A-Z_]+)` \((\d[\d,]*(?: s)?)\)/g, (name = "", value = "") => {
    const isOurs = page !== "" && isConfigured(name);
    return !isOurs || quantityOf(value) === configured(name);
  });
  // "orders 8081", also in a list of several.
  each(/\b(gateway|orders|inventory|worker|email) :?(\d{4,5})\b/g, (name = "", port) => {
    return Number(port) === SERVICES[name as keyof typeof SERVICES].port;
  });
  each(/\b(two|three|four|five|six|seven|eight|all \w+) (?:Bun )?services\b/gi, (count = "") => {
    const number = quantityOf(count.replace(/^all /i, ""));
    return !(number > 2) || number === ORDER_SERVICES.length;
  });
  return wrong;
}

function isConfigured(name: string): boolean {
  return new RegExp(`^\\| \`${name}\` .*\\| \\d+ +\\|$`, "m").test(
    repository.read("docs/configuration.md"),
  );
}

test("every page has Bun's version, defaults, ports and the number of services right", () => {
  expect(pages.length).toBeGreaterThan(20);
  const problems = pages.flatMap((path) =>
    wrongOf(repository.read(path)).map((said) => `${path}: ${said}`),
  );
  expect(problems).toEqual([]);
});

test.each([
  "npx -y bun@1.4.4 run demo",
  "as of Bun 1.3.9.",
  "`WORKER_CONCURRENCY` (64)",
  "`WORKER_RETRY_LIMIT_MS` (30 s)",
  "gateway 8081",
  "four services",
  "all six services",
])('"%s" would be found wrong', (said) => {
  expect(wrongOf(said)).toHaveLength(1);
});

describe("a statement", () => {
  const statement: Statement = { says: /waits (\d+ s) for (\w+)/, is: [5_000, "Kafka"] };

  test.each([
    ["as it is", "It waits 5 s for Kafka.", 0],
    ["wrapped", "It waits 5\ns for\nKafka.", 0],
    ["with another figure", "It waits 6 s for Kafka.", 1],
    ["with another unit", "It waits 5 m for Kafka.", 1],
    ["with another name", "It waits 5 s for Redis.", 1],
    ["that is there twice, once wrong", "It waits 5 s for Kafka, waits 4 s for Kafka.", 1],
    ["that is gone", "It waits for Kafka.", 1],
  ])("%s", (_, text, problems) => {
    expect(wrongStatements(text, [statement])).toHaveLength(problems);
  });
});

test.each([
  ["4.5 s", 4_500],
  ["2,000", 2_000],
  ["64 MiB", 67_108_864],
  ["five", 5],
  ["a minute", 60_000],
  ["10s", 10_000],
  ["30 minutes", 1_800_000],
  ["95 %", 0.95],
  ["a while", Number.NaN],
  ["v2", Number.NaN],
])("%s is %d", (text, number) => {
  expect(quantityOf(text)).toBe(number);
});

test.each([
  ["60_000", 60_000],
  ["16 * 1024 ** 2", 16_777_216],
  ["2 ** 31 - 1", 2_147_483_647],
  ["limit()", Number.NaN],
])("the literal %s is %d", (code, number) => {
  expect(literalOf(code)).toBe(number);
});

test.each([
  ["const LIMIT_MS = 5_000;", "LIMIT_MS", 5_000],
  ["export const LIMIT_S = 5;", "LIMIT_S", 5_000],
  ["const SHARE: number = 0.8;", "SHARE", 0.8],
  ["  statementMs: 5 * 60_000,", "statementMs", 300_000],
  ["options.tracesMax ?? 2_000,", "tracesMax", 2_000],
  ["const DELAY_MS = { min: 250, max: 5_000 };", "DELAY_MS.max", 5_000],
  ["decision_wait: 10s", "decision_wait", 10_000],
  ["const A = 1;\nconst AB = 2;", "AB", 2],
])("%s has a %s", (text, name, value) => {
  expect(constantIn(text, name)).toBe(value);
  expect(() => constantIn(text, "NONE")).toThrow("no constant NONE");
});
