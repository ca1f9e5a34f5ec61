import { expect, test } from "bun:test";
import { isNodeSupported } from "./node-peers.ts";

test.each([
  ["v20.6.0", true],
  ["v24.1.0", true],
  ["v18.19.1", false],
  ["v9.0.0", false],
  ["", false],
])("Node %p runs the peers: %p", (version, supported) => {
  expect(isNodeSupported(version)).toBe(supported);
});
