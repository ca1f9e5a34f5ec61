import { expect, test } from "bun:test";
import type { Learning } from "../optional-folders.ts";
import * as folder from "./index.ts";

test("the folder gives what stands in the types that stay when it is deleted", () => {
  // Which ones, and of which types, is the type check's to say.
  const given: Learning = folder;
  expect(Object.keys(given).length).toBeGreaterThan(5);
});
