import { expect, test } from "bun:test";
import type { Learning } from "../optional-folders.ts";
import * as folder from "./index.ts";

test("the folder gives what stands in the types that stay when it is deleted", () => {
  const given: Learning = folder;
  expect(Object.values(given)).not.toContain(undefined);
});
