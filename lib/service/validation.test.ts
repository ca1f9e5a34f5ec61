import { describe, expect, test } from "bun:test";
import { TypeCompiler } from "@sinclair/typebox/compiler";
import { isText, isUtf8Query, isUuid, strictInteger, text } from "./validation.ts";

describe("a text", () => {
  test("is measured in characters as a person counts them, not in UTF-16 units", () => {
    expect(isText("😀".repeat(5), 5)).toBe(true);
    expect(isText("😀".repeat(6), 5)).toBe(false);
    expect(isText("x".repeat(5), 5)).toBe(true);
    expect(isText("x".repeat(6), 5)).toBe(false);
  });

  test("is not empty, and holds nothing that PostgreSQL cannot store", () => {
    expect(isText("", 5)).toBe(false);
    expect(isText("a\u0000", 5)).toBe(false);
    expect(isText("\ud83d", 5)).toBe(false);
    expect(isText("\ude00\ud83d", 5)).toBe(false);
    expect(isText(" ", 5)).toBe(true);
    expect(isText("\u0001\u2028", 5)).toBe(true);
  });

  test("has the bound of its own schema, also where several are made", () => {
    const short = TypeCompiler.Compile(text("short", 2));
    const long = TypeCompiler.Compile(text("long", 4));
    expect([short.Check("abc"), long.Check("abc")]).toEqual([false, true]);
    expect([short.Check(5), short.Check(null), short.Check(["a"])]).toEqual([false, false, false]);
  });
});

test("an integer is a JSON number, whole and within its bounds", () => {
  const schema = TypeCompiler.Compile(strictInteger("n", { min: 1, max: 3 }));
  expect([1, 2, 3, 1.0].every((value) => schema.Check(value))).toBe(true);
  for (const other of [0, 4, 1.5, "1", " 2 ", null, true, [1], Infinity, Number.NaN, 1n]) {
    expect(schema.Check(other), String(other)).toBe(false);
  }
});

test("a query encodes UTF-8; a % that encodes nothing stands for itself", () => {
  for (const query of [
    "",
    "?a=b",
    "?a=%C3%A4+%F0%9F%98%80",
    "?a=100%",
    "?a=%ZZ&b=%2",
    "?%EF%BF%BD",
  ]) {
    expect(isUtf8Query(query), query).toBe(true);
  }
  for (const query of ["?a=%FF", "?a=%ED%A0%80", "?a=%C3", "?%C0%80=b", "?a=%&b=%ff"]) {
    expect(isUtf8Query(query), query).toBe(false);
  }
});

test("a UUID has the usual form with hyphens", () => {
  expect(isUuid("01a208df-26fe-76a4-9498-9ed041436d4d")).toBe(true);
  expect(isUuid("01A208DF-26FE-76A4-9498-9ED041436D4D")).toBe(true);
  for (const other of [
    "",
    "01a208df26fe76a494989ed041436d4d",
    "{01a208df-26fe-76a4-9498-9ed041436d4d}",
    "01a208df-26fe-76a4-9498-9ed041436d4d\n",
    "g1a208df-26fe-76a4-9498-9ed041436d4d",
  ]) {
    expect(isUuid(other), other).toBe(false);
  }
});
