import { expect, test } from "bun:test";
import type { Speed } from "../optional-folders.ts";
// First, as in a program: the folder is loaded by what can do without it.
import { speed } from "../optional.ts";
import * as folder from "./index.ts";

test("the folder gives what stands in the types that stay when it is deleted", () => {
  // Which ones, and of which types, is the type check's to say.
  const given: Speed = folder;
  expect(speed).toBeDefined();
  expect(Object.keys(given).length).toBeGreaterThan(5);
});
