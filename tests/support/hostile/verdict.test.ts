import { expect, test } from "bun:test";
import type { HostileRequest } from "./inputs.ts";
import { judge } from "./verdict.ts";

const request = (target: string): HostileRequest => ({
  method: "GET",
  target,
  headers: [],
  body: undefined,
  chunkBytes: undefined,
  mayBreakHttp: false,
});
const answer = (error: string) => ({
  status: 404,
  headers: new Map([["content-type", "application/json"]]),
  body: Buffer.from(JSON.stringify({ error })),
  rest: Buffer.alloc(0),
});

test.each(["/inventory/.ts", "/inventory/a%2ets", "/inventory/node_modules"])(
  "an error may repeat what it was asked for: %s",
  (target) => {
    const item = decodeURIComponent(target.slice("/inventory/".length));
    expect(judge(request(target), answer(`there is no item ${item}`))).toBe("404");
  },
);

test("an error may not tell of what is inside, also where the request says something of that", () => {
  const asked = request("/inventory/.ts");
  const told = answer("no item .ts (PostgresError at node_modules)");
  expect(() => judge(asked, told)).toThrow("tells of what is inside (PostgresError)");
});
