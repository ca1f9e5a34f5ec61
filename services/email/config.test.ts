import { expect, test } from "bun:test";
import { loadEmailConfig } from "./config.ts";

test("EMAIL_DELAY_MS is min-max, 50-200 where it is not set", () => {
  expect(loadEmailConfig({}).delayMs).toEqual({ min: 50, max: 200 });
  expect(loadEmailConfig({ EMAIL_DELAY_MS: "" }).delayMs).toEqual({ min: 50, max: 200 });
  expect(loadEmailConfig({ EMAIL_DELAY_MS: "0-0" }).delayMs).toEqual({ min: 0, max: 0 });
  expect(loadEmailConfig({ EMAIL_DELAY_MS: "10-60000" }).delayMs).toEqual({ min: 10, max: 60_000 });
});

test.each(["200-50", "5", "-5", "5-", "a-b", "1.5-2", "0-60001", "1-2-3", " 1-2"])(
  "EMAIL_DELAY_MS=%s is refused by name",
  (text) => {
    expect(() => loadEmailConfig({ EMAIL_DELAY_MS: text })).toThrow("EMAIL_DELAY_MS");
  },
);
