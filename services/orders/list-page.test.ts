import { describe, expect, test } from "bun:test";
import { encodeCursor, nextLink, parsePageRequest } from "./list-page.ts";

const parse = (query: string) => parsePageRequest(new URLSearchParams(query));
const cursor = { createdUs: "1767323045678901", id: "01a208df-26fe-76a4-9498-9ed041436d4d" };

describe("a page request", () => {
  test("without parameters is the first 50 orders", () => {
    expect(parse("")).toEqual({ limit: 50 });
  });

  test("takes limit, status, customer_id and cursor, and leaves others aside", () => {
    const query = `limit=200&status=shipped&customer_id=a%26b&cursor=${encodeCursor(cursor)}&x=1`;
    expect(parse(query)).toEqual({ limit: 200, status: "shipped", customerId: "a&b", cursor });
    expect(parse("limit=1").limit).toBe(1);
    expect(parse("limit=007").limit).toBe(7);
  });

  test.each([
    "limit=0",
    "limit=201",
    "limit=-1",
    "limit=+1",
    "limit=1.0",
    "limit=0x10",
    "limit=",
    "limit=٣",
    "limit=1&limit=1",
    "status=",
    "status=PENDING",
    "status=__proto__",
    "customer_id=",
    "customer_id=%00",
    `customer_id=${"x".repeat(256)}`,
    "cursor=",
    "cursor=!!!",
    `cursor=${encodeCursor(cursor)}=`,
    `cursor=${encodeCursor(cursor)}A`,
    `cursor=${encodeCursor({ ...cursor, createdUs: "1e3" })}`,
    `cursor=${encodeCursor({ ...cursor, createdUs: "9".repeat(18) })}`,
    `cursor=${encodeCursor({ ...cursor, id: "x" })}`,
    `cursor=${encodeCursor({ ...cursor, id: `${cursor.id} x` })}`,
  ])("refuses ?%s, naming the parameter", (query) => {
    const name = query.split("=")[0] ?? "";
    expect(() => parse(query)).toThrow(name);
  });
});

describe("the link to the next page", () => {
  test("keeps the filters and the limit, and puts the new cursor in the old one's place", () => {
    const query = new URLSearchParams("status=pending&cursor=old&limit=2&customer_id=a%26b%22%3E");
    const link = nextLink("/orders", query, cursor);
    const target = /^<(\/orders\?[^<>"]+)>; rel="next"$/.exec(link)?.[1] ?? "";
    const { searchParams } = new URL(target, "http://host");
    expect(Object.fromEntries(searchParams)).toEqual({
      status: "pending",
      limit: "2",
      customer_id: 'a&b">',
      cursor: encodeCursor(cursor),
    });
  });

  test("leads back to the very place, for any time that PostgreSQL can hold", () => {
    for (const createdUs of ["0", "-1", "1767323045678901", "-62135596800000000"]) {
      expect(parse(`cursor=${encodeCursor({ ...cursor, createdUs })}`).cursor).toEqual({
        ...cursor,
        createdUs,
      });
    }
  });
});
