import { describe, expect, test } from "bun:test";
import { assert, constantFrom, property, array } from "fast-check";
import { withoutLiterals } from "./text.ts";
import type { SqlSystem } from "./words.ts";

describe("a statement's text", () => {
  test.each([
    ["SELECT 'a''b', ''", "SELECT ?, ?"],
    ["SELECT 'a\\' , 'b'", "SELECT ? , ?"],
    ["SELECT E'a\\'b', e'\\\\', 1", "SELECT ?, ?, ?"],
    ["SELECT U&'d\\0061t', B'01', x'1F', N'a'", "SELECT ?, ?, ?, ?"],
    ["SELECT $$a'b$$, $t$ $$ $t$, $1", "SELECT ?, ?, $1"],
    ["SELECT 1, 1.5, .5, 1e10, 1E-3, 0x1F, 1_000, -2", "SELECT ?, ?, ?, ?, ?, ?, ?, -?"],
    ["id = 7f3a-4b", "id = ?-?"],
    ['SELECT a1.b2, t_3, "x\'1""2" FROM s.t4', 'SELECT a1.b2, t_3, "x\'1""2" FROM s.t4'],
    ["SELECT a$1$b, $10", "SELECT a$1$b, $10"],
    ["SELECT 1 -- it's\n, 'a' /* 'b /* c */ ' */ FROM t", "SELECT ? \n, ?   FROM t"],
    ["SELECT 'a'\n'b'", "SELECT ?\n?"],
    ["IN ('a','b',3)", "IN (?,?,?)"],
    ["SELECT 'open", "SELECT ?"],
    ["SELECT $x$ open", "SELECT ?"],
    ["SELECT /* open", "SELECT"],
    ["SELECT E'open\\", "SELECT ?"],
    ['SELECT "open', "SELECT ?"],
    ['SELECT "a", "open""', 'SELECT "a", ?'],
    ["SELECT a - b / c $ d", "SELECT a - b / c $ d"],
    ["SELECT name'a'", "SELECT name?"],
    ["", ""],
  ])("%s → %s", (text, shown) => expect(withoutLiterals(text)).toBe(shown));

  test.each<[SqlSystem, string, string]>([
    ["mysql", `SELECT 'a\\' LEAK', "b\\" LEAK", 1 # LEAK'`, "SELECT ?, ?, ?"],
    ["mariadb", "SELECT `a`, ? FROM `b 'c`", "SELECT `a`, ? FROM `b 'c`"],
    ["mysql", "SELECT `open 'LEAK'", "SELECT ?"],
    ["mysql", "SELECT 5--1, 5--'a\nLEAK', 5-- LEAK", "SELECT ?--?, ?--?, ?"],
    ["mysql", "SELECT 1 --", "SELECT ?"],
    ["mysql", "SELECT 1 # a\rLEAK\n, 2", "SELECT ? \n, ?"],
    ["sqlite", "SELECT 'a\\', x'1F', ?1, :b, @c, $d", "SELECT ?, ?, ?1, :b, @c, $d"],
    ["sqlite", `SELECT "a" FROM [b 'c] -- LEAK`, `SELECT "a" FROM [b 'c]`],
  ])("of %s: %s → %s", (system, text, shown) => {
    expect(withoutLiterals(text, system)).toBe(shown);
  });

  test("never shows what stands in a literal, whatever stands around it", () => {
    const literals = constantFrom(
      "'LEAK'",
      "'it''s LEAK'",
      "E'\\'LEAK'",
      "$$LEAK'$$",
      "$a$LEAK $$ $b$ $a$",
      "U&'LEAK'",
      "-- LEAK'\n",
      "/* LEAK ' /* \" */ $$ */",
    );
    const others = constantFrom(" ", "a", '"n\'"', "$1", "42", ",", "(", "=", "- ", "/ ", "\n");
    assert(
      property(array(literals), array(others), (some, more) => {
        const text = some.map((literal, at) => `${more[at] ?? " "} ${literal} `).join("");
        expect(withoutLiterals(text)).not.toContain("LEAK");
      }),
    );
  });
});
