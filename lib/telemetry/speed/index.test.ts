import { expect, test } from "bun:test";
import type { Speed } from "../optional-folders.ts";
import * as folder from "./index.ts";

test("the folder gives what stands in the types that stay when it is deleted", () => {
  const given: Speed = folder;
  expect(Object.values(given)).not.toContain(undefined);
});
