// The group coordinator: committed offsets, and groups that come and go.
import { afterEach, expect, test } from "bun:test";
import { ErrorCode } from "./errors.ts";
import { GroupCoordinator } from "./groups.ts";
import { limits } from "./limits.ts";
import { refusalOf } from "./testing/refusals.ts";

let groups = new GroupCoordinator();

afterEach(() => {
  groups.close();
  groups = new GroupCoordinator();
});

test("keeps a group's offsets by topic and partition", () => {
  groups.commitOffset("readers", "events", 0, { offset: 5, metadata: "" });
  groups.commitOffset("readers", "events", 2, { offset: 7, metadata: "note" });
  groups.commitOffset("readers", "events", 0, { offset: 6, metadata: "" });
  expect(groups.committedOffset("readers", "events", 0)?.offset).toBe(6);
  expect(groups.committedOffset("readers", "events", 2)?.metadata).toBe("note");
  expect(groups.committedOffset("readers", "events", 1)).toBeUndefined();
  expect(groups.committedOffset("others", "events", 0)).toBeUndefined();
  expect(groups.committedPartitions("readers")).toEqual([{ topic: "events", partitions: [0, 2] }]);
  expect(groups.committedPartitions("others")).toEqual([]);
});

test("forgets a topic's offsets with the topic, and the group when it has nothing else", () => {
  groups.commitOffset("readers", "events", 0, { offset: 5, metadata: "" });
  groups.deleteTopic("events");
  expect(groups.committedOffset("readers", "events", 0)).toBeUndefined();
  expect(groups.list()).toEqual([]);
});

test("forgets a group when its last member leaves and nothing was committed", async () => {
  const group = groups.findOrCreate("readers");
  const { memberId } = await group.join({
    memberId: "",
    clientId: "client",
    clientAddress: "127.0.0.1",
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: Buffer.alloc(0) }],
    memberIdRequired: false,
  });
  groups.discardIfUnused("readers");
  expect(groups.find("readers")).toBe(group);
  group.leave(memberId);
  expect(groups.find("readers")).toBeUndefined();
});

test("refuses the empty group id, and more groups than it holds", () => {
  expect(refusalOf(() => groups.findOrCreate(""))).toBe(ErrorCode.INVALID_GROUP_ID);
  for (let index = 0; index < limits.groupsMax; index++) groups.findOrCreate(`g${index}`);
  expect(refusalOf(() => groups.findOrCreate("one more"))).toBe(ErrorCode.POLICY_VIOLATION);
});
