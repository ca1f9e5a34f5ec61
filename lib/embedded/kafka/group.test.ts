// The consumer group's state machine, with a clock that only moves when told.
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { ErrorCode } from "./errors.ts";
import { Group, type GroupProtocol, type JoinRequest, type JoinResult } from "./group.ts";
import { limits } from "./limits.ts";

const SESSION_MS = 10_000;
const REBALANCE_MS = 60_000;
const { NONE, ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS } = ErrorCode;

let unusedCalls = 0;
let group: Group;

beforeEach(() => {
  jest.useFakeTimers();
  unusedCalls = 0;
  group = new Group(() => {
    unusedCalls += 1;
  });
});

afterEach(() => {
  group.close();
  jest.useRealTimers();
});

describe("joining", () => {
  test("makes the first member the leader, who is told of all members", async () => {
    const joined = await group.join(request());
    expect(joined).toMatchObject({ error: NONE, generationId: 1, protocol: "range" });
    expect(joined.memberId).toStartWith("client-");
    expect(joined.leaderId).toBe(joined.memberId);
    expect(joined.members).toEqual([
      { memberId: joined.memberId, metadata: Buffer.from("subscription") },
    ]);
  });

  test("with an id that is not known is refused", async () => {
    const joined = await group.join(request({ memberId: "ghost" }));
    expect(joined.error).toBe(UNKNOWN_MEMBER_ID);
  });

  test("first hands out an id where the client's version wants that", async () => {
    const reserved = await group.join(request({ memberIdRequired: true }));
    expect(reserved.error).toBe(ErrorCode.MEMBER_ID_REQUIRED);
    expect(group.describe()).toMatchObject({ state: "Empty", members: [] });
    const joined = await group.join(
      request({ memberId: reserved.memberId, memberIdRequired: true }),
    );
    expect(joined).toMatchObject({ error: NONE, memberId: reserved.memberId });
  });

  test("waits for the one who was just given an id, and for nobody who gave it up", async () => {
    const first = await stableMember();
    const { memberId } = await group.join(request({ memberIdRequired: true }));
    const waiting = group.join(request({ memberId: first.memberId }));
    expect(group.describe().state).toBe("PreparingRebalance");
    const second = await group.join(request({ memberId }));
    expect(second).toMatchObject({ error: NONE, generationId: 2 });
    expect((await waiting).members).toHaveLength(2);
    await group.sync(first.memberId, 2, new Map());

    const { memberId: givenUp } = await group.join(request({ memberIdRequired: true }));
    const both = [first, second].map((one) => group.join(request({ memberId: one.memberId })));
    expect(group.describe().state).toBe("PreparingRebalance");
    expect(group.leave(givenUp)).toBe(NONE);
    expect((await Promise.all(both)).map(({ generationId }) => generationId)).toEqual([3, 3]);
  });

  test("takes an id back that nobody joins with", async () => {
    const { memberId } = await group.join(request({ memberIdRequired: true }));
    expect(group.unused).toBe(false);
    jest.advanceTimersByTime(SESSION_MS);
    expect(group.unused).toBe(true);
    expect(unusedCalls).toBe(1);
    expect((await group.join(request({ memberId }))).error).toBe(UNKNOWN_MEMBER_ID);
  });

  test("without a protocol in common is refused and leaves the group as it was", async () => {
    const first = await stableMember();
    const protocols = [{ name: "sticky", metadata: Buffer.alloc(0) }];
    const { INCONSISTENT_GROUP_PROTOCOL } = ErrorCode;
    expect((await group.join(request({ protocols }))).error).toBe(INCONSISTENT_GROUP_PROTOCOL);
    const otherType = request({ protocolType: "connect" });
    expect((await group.join(otherType)).error).toBe(INCONSISTENT_GROUP_PROTOCOL);
    expect((await group.join(request({ protocols: [] }))).error).toBe(INCONSISTENT_GROUP_PROTOCOL);
    expect(group.heartbeat(first.memberId, first.generationId)).toBe(NONE);
  });

  test("takes the protocol that most members put first and all support", async () => {
    const first = await group.join(request({ protocols: protocolsOf("a", "b", "c") }));
    const joins = [
      group.join(request({ protocols: protocolsOf("b", "c") })),
      group.join(request({ protocols: protocolsOf("b", "c") })),
      group.join(request({ memberId: first.memberId, protocols: protocolsOf("c", "b", "a") })),
    ];
    const results = await Promise.all(joins);
    expect(results.map(({ protocol }) => protocol)).toEqual(["b", "b", "b"]);
  });

  test("is refused when the group is full", async () => {
    for (let count = 0; count < limits.groupMembersMax; count++) {
      await group.join(request({ memberIdRequired: true }));
    }
    const { GROUP_MAX_SIZE_REACHED } = ErrorCode;
    expect((await group.join(request())).error).toBe(GROUP_MAX_SIZE_REACHED);
  });
});

describe("a rebalance", () => {
  test("gives every member the leader's assignment for it", async () => {
    const [leader, follower] = await twoMembers();
    const following = group.sync(follower.memberId, 2, new Map());
    const leading = group.sync(
      leader.memberId,
      2,
      new Map([
        [leader.memberId, Buffer.from("partition 0")],
        [follower.memberId, Buffer.from("partition 1")],
      ]),
    );
    expect(await leading).toEqual({ error: NONE, assignment: Buffer.from("partition 0") });
    expect(await following).toEqual({ error: NONE, assignment: Buffer.from("partition 1") });
    expect(group.describe()).toMatchObject({ state: "Stable", protocol: "range" });
  });

  test("is what a heartbeat tells those who have not joined again yet", async () => {
    const first = await stableMember();
    const second = group.join(request());
    expect(group.heartbeat(first.memberId, 1)).toBe(REBALANCE_IN_PROGRESS);
    expect((await group.sync(first.memberId, 1, new Map())).error).toBe(REBALANCE_IN_PROGRESS);
    const again = await group.join(request({ memberId: first.memberId }));
    expect(again).toMatchObject({ error: NONE, generationId: 2, leaderId: first.memberId });
    expect(again.members).toHaveLength(2);
    expect(await second).toMatchObject({ error: NONE, generationId: 2, members: [] });
    expect(group.heartbeat(first.memberId, 1)).toBe(ILLEGAL_GENERATION);
    expect(group.heartbeat(first.memberId, 2)).toBe(NONE);
  });

  test("goes on without a member that heartbeats but does not join in time", async () => {
    const first = await stableMember();
    const joining = group.join(request());
    for (let waitedMs = 0; waitedMs < REBALANCE_MS; waitedMs += SESSION_MS / 2) {
      expect(group.heartbeat(first.memberId, 1)).toBe(REBALANCE_IN_PROGRESS);
      jest.advanceTimersByTime(SESSION_MS / 2);
    }
    const second = await joining;
    expect(second).toMatchObject({ error: NONE, generationId: 2, leaderId: second.memberId });
    expect(group.heartbeat(first.memberId, 1)).toBe(UNKNOWN_MEMBER_ID);
  });

  test("goes on without a leader that heartbeats but never assigns", async () => {
    const [leader, follower] = await twoMembers();
    const following = group.sync(follower.memberId, 2, new Map());
    for (let waitedMs = 0; waitedMs < REBALANCE_MS; waitedMs += SESSION_MS / 2) {
      expect(group.heartbeat(leader.memberId, 2)).toBe(NONE);
      jest.advanceTimersByTime(SESSION_MS / 2);
    }
    expect((await following).error).toBe(REBALANCE_IN_PROGRESS);
    const again = await group.join(request({ memberId: follower.memberId }));
    expect(again).toMatchObject({ generationId: 3, leaderId: follower.memberId });
    expect(group.heartbeat(leader.memberId, 2)).toBe(UNKNOWN_MEMBER_ID);
  });

  test("starts again when a member joins while others wait for the assignment", async () => {
    const [leader, follower] = await twoMembers();
    const following = group.sync(follower.memberId, 2, new Map());
    const third = group.join(request());
    expect((await following).error).toBe(REBALANCE_IN_PROGRESS);
    const rejoined = [leader, follower].map(({ memberId }) => group.join(request({ memberId })));
    const results = await Promise.all([third, ...rejoined]);
    expect(results.map(({ generationId }) => generationId)).toEqual([3, 3, 3]);
  });

  test("is not started by a follower that only missed the answer to its join", async () => {
    const [leader, follower] = await twoMembers();
    const repeated = await group.join(request({ memberId: follower.memberId }));
    expect(repeated).toMatchObject({ error: NONE, generationId: 2 });
    await group.sync(leader.memberId, 2, new Map());
    const later = await group.join(request({ memberId: follower.memberId }));
    expect(later).toMatchObject({ error: NONE, generationId: 2 });
    expect(group.describe().state).toBe("Stable");
  });

  test("is started by the leader's join, and by a member that subscribes otherwise", async () => {
    const leader = await stableMember();
    const again = await group.join(request({ memberId: leader.memberId }));
    expect(again.generationId).toBe(2);
    const protocols = [{ name: "range", metadata: Buffer.from("another subscription") }];
    const changed = await group.join(request({ memberId: leader.memberId, protocols }));
    expect(changed.generationId).toBe(3);
  });

  test("answers a join that was sent twice only once with success", async () => {
    const first = await stableMember();
    const reserved = await group.join(request({ memberIdRequired: true }));
    const lost = group.join(request({ memberId: reserved.memberId }));
    const repeated = group.join(request({ memberId: reserved.memberId }));
    expect((await lost).error).toBe(REBALANCE_IN_PROGRESS);
    await group.join(request({ memberId: first.memberId }));
    expect((await repeated).error).toBe(NONE);
  });
});

describe("a member", () => {
  test("that is silent for its session timeout is removed", async () => {
    const [leader, follower] = await syncedTwoMembers();
    jest.advanceTimersByTime(SESSION_MS - 1);
    expect(group.heartbeat(leader.memberId, 2)).toBe(NONE);
    jest.advanceTimersByTime(1);
    expect(group.heartbeat(leader.memberId, 2)).toBe(REBALANCE_IN_PROGRESS);
    expect(group.heartbeat(follower.memberId, 2)).toBe(UNKNOWN_MEMBER_ID);
    const again = await group.join(request({ memberId: leader.memberId }));
    expect(again).toMatchObject({ generationId: 3 });
    expect(again.members).toHaveLength(1);
  });

  test("that waits for the others is not silent", async () => {
    const first = await stableMember();
    const joining = group.join(request());
    for (let waitedMs = 0; waitedMs < 3 * SESSION_MS; waitedMs += SESSION_MS / 2) {
      group.heartbeat(first.memberId, 1);
      jest.advanceTimersByTime(SESSION_MS / 2);
    }
    await group.join(request({ memberId: first.memberId }));
    expect((await joining).error).toBe(NONE);
  });

  test("that leaves makes room at once", async () => {
    const [leader, follower] = await syncedTwoMembers();
    expect(group.leave(leader.memberId)).toBe(NONE);
    expect(group.leave(leader.memberId)).toBe(UNKNOWN_MEMBER_ID);
    expect(group.heartbeat(follower.memberId, 2)).toBe(REBALANCE_IN_PROGRESS);
    const again = await group.join(request({ memberId: follower.memberId }));
    expect(again).toMatchObject({ generationId: 3, leaderId: follower.memberId });
  });

  test("that is the last to leave empties the group", async () => {
    const { memberId } = await stableMember();
    expect(group.leave(memberId)).toBe(NONE);
    expect(group.describe()).toMatchObject({ state: "Empty", protocol: "", members: [] });
    expect(unusedCalls).toBe(1);
  });

  test("that leaves while the others have joined completes the rebalance", async () => {
    const first = await stableMember();
    const joining = group.join(request());
    group.leave(first.memberId);
    expect(await joining).toMatchObject({ error: NONE, generationId: 2 });
  });

  test("gets its assignment again when it asks again", async () => {
    const { memberId } = await group.join(request());
    const assignments = new Map([[memberId, Buffer.from("all")]]);
    await group.sync(memberId, 1, assignments);
    const again = await group.sync(memberId, 1, new Map());
    expect(again).toEqual({ error: NONE, assignment: Buffer.from("all") });
    expect((await group.sync(memberId, 2, new Map())).error).toBe(ILLEGAL_GENERATION);
    expect((await group.sync("ghost", 1, new Map())).error).toBe(UNKNOWN_MEMBER_ID);
  });
});

describe("a commit of offsets", () => {
  test("stands from a member of this generation, also while a rebalance gathers", async () => {
    const first = await stableMember();
    expect(group.checkCommit(first.memberId, 1)).toBe(NONE);
    expect(group.checkCommit(first.memberId, 0)).toBe(ILLEGAL_GENERATION);
    expect(group.checkCommit("ghost", 1)).toBe(UNKNOWN_MEMBER_ID);
    const joining = group.join(request());
    expect(group.checkCommit(first.memberId, 1)).toBe(NONE);
    await group.join(request({ memberId: first.memberId }));
    const second = await joining;
    expect(group.checkCommit(second.memberId, 2)).toBe(REBALANCE_IN_PROGRESS);
  });

  test("from outside stands only while the group has no members", async () => {
    expect(group.checkCommit("", -1)).toBe(NONE);
    await stableMember();
    expect(group.checkCommit("", -1)).toBe(UNKNOWN_MEMBER_ID);
  });
});

function protocolsOf(...names: string[]): GroupProtocol[] {
  return names.map((name) => ({ name, metadata: Buffer.from(name) }));
}

function request(changes: Partial<JoinRequest> = {}): JoinRequest {
  return {
    memberId: "",
    clientId: "client",
    clientAddress: "127.0.0.1",
    sessionTimeoutMs: SESSION_MS,
    rebalanceTimeoutMs: REBALANCE_MS,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: Buffer.from("subscription") }],
    memberIdRequired: false,
    ...changes,
  };
}

/** One member, generation 1, stable. */
async function stableMember(): Promise<JoinResult> {
  const joined = await group.join(request());
  await group.sync(joined.memberId, joined.generationId, new Map());
  return joined;
}

/** Leader and follower, generation 2, both joined and not synced. */
async function twoMembers(): Promise<[JoinResult, JoinResult]> {
  const first = await stableMember();
  const second = group.join(request());
  return [await group.join(request({ memberId: first.memberId })), await second];
}

/** Leader and follower, generation 2, stable. */
async function syncedTwoMembers(): Promise<[JoinResult, JoinResult]> {
  const [leader, follower] = await twoMembers();
  const following = group.sync(follower.memberId, 2, new Map());
  await group.sync(leader.memberId, 2, new Map());
  await following;
  return [leader, follower];
}
