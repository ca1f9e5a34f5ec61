// One consumer group: the state machine that hands a topic's partitions to its members.
import { randomUUID } from "node:crypto";
import { ErrorCode } from "./errors.ts";
import { limits } from "./limits.ts";

/** A group's state, in the words DescribeGroups uses. */
export type GroupState = "Empty" | "PreparingRebalance" | "CompletingRebalance" | "Stable";

/** One way to assign partitions that a member supports, with the subscription it wants for it. */
export interface GroupProtocol {
  readonly name: string;
  readonly metadata: Uint8Array;
}

/** What a member sends to join. Times are in milliseconds. */
export interface JoinRequest {
  /** Empty for a member that is new. */
  readonly memberId: string;
  readonly clientId: string;
  readonly clientAddress: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  readonly protocols: readonly GroupProtocol[];
  /** A new member first gets its id, and joins with it: a lost response then leaves no ghost behind. */
  readonly memberIdRequired: boolean;
}

/** Answer to a join; `members` is filled for the leader only, who assigns the partitions. */
export interface JoinResult {
  readonly error: ErrorCode;
  readonly generationId: number;
  readonly protocol: string;
  readonly leaderId: string;
  readonly memberId: string;
  readonly members: readonly { readonly memberId: string; readonly metadata: Uint8Array }[];
}

/** Answer to a sync: the partitions this member got, in the clients' own encoding. */
export interface SyncResult {
  readonly error: ErrorCode;
  readonly assignment: Uint8Array;
}

/** What DescribeGroups tells of a group. */
export interface GroupDescription {
  readonly state: GroupState;
  readonly protocolType: string;
  readonly protocol: string;
  readonly members: readonly {
    readonly memberId: string;
    readonly clientId: string;
    readonly clientAddress: string;
    readonly metadata: Uint8Array;
    readonly assignment: Uint8Array;
  }[];
}

interface Member {
  readonly id: string;
  readonly clientId: string;
  readonly clientAddress: string;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  protocols: readonly GroupProtocol[];
  assignment: Uint8Array;
  sessionTimer: Timer | undefined;
  /** Answers the join, or the sync, that this member is waiting for. */
  answerJoin: ((result: JoinResult) => void) | undefined;
  answerSync: ((result: SyncResult) => void) | undefined;
}

type Timer = ReturnType<typeof setTimeout>;

const NO_BYTES = new Uint8Array(0);

/**
 * A consumer group. A rebalance collects every member's join (PreparingRebalance), answers them all
 * at once with a new generation (CompletingRebalance) and, when the leader has sent the assignment,
 * hands everyone its part (Stable). A member that is silent for its session timeout is removed.
 * @see https://cwiki.apache.org/confluence/display/KAFKA/Kafka+Client-side+Assignment+Proposal
 */
export class Group {
  readonly #onUnused: () => void;
  readonly #members = new Map<string, Member>();
  /** Ids handed out and not joined with yet, each with the timer that takes it back. */
  readonly #reservedIds = new Map<string, Timer>();
  #state: GroupState = "Empty";
  #generationId = 0;
  #protocolType = "";
  #protocol = "";
  #leaderId = "";
  /** Bounds the wait for joins, then the wait for syncs. */
  #rebalanceTimer: Timer | undefined;

  /** @param onUnused called when the last member, or the last id handed out, is gone */
  constructor(onUnused: () => void) {
    this.#onUnused = onUnused;
  }

  get protocolType(): string {
    return this.#protocolType;
  }

  /** Whether there is no member, and nobody about to become one. */
  get unused(): boolean {
    return this.#state === "Empty" && this.#reservedIds.size === 0;
  }

  /** Joins a member; the answer comes when all members have joined or the rebalance timed out. */
  join(request: JoinRequest): Promise<JoinResult> {
    const { memberId } = request;
    const member = this.#members.get(memberId);
    if (memberId !== "" && !member && !this.#reservedIds.has(memberId)) {
      return refuseJoin(ErrorCode.UNKNOWN_MEMBER_ID, memberId);
    }
    if (!this.#isCompatible(request))
      return refuseJoin(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, memberId);
    if (member) return this.#rejoin(member, request);
    if (memberId !== "") {
      this.#dropReservedId(memberId);
      return this.#add(memberId, request);
    }
    if (this.#members.size + this.#reservedIds.size >= limits.groupMembersMax) {
      return refuseJoin(ErrorCode.GROUP_MAX_SIZE_REACHED, memberId);
    }
    const newId = `${request.clientId}-${randomUUID()}`;
    if (!request.memberIdRequired) return this.#add(newId, request);
    const expire = () => this.#expireReservedId(newId);
    this.#reservedIds.set(newId, setTimeout(expire, request.sessionTimeoutMs));
    return refuseJoin(ErrorCode.MEMBER_ID_REQUIRED, newId);
  }

  /**
   * Asks for the member's assignment; the answer comes when the leader has sent it.
   * @param assignments from the leader: member id to assignment; ignored from others
   */
  sync(
    memberId: string,
    generationId: number,
    assignments: ReadonlyMap<string, Uint8Array>,
  ): Promise<SyncResult> {
    const member = this.#members.get(memberId);
    if (!member) return refuseSync(ErrorCode.UNKNOWN_MEMBER_ID);
    if (generationId !== this.#generationId) {
      return refuseSync(ErrorCode.ILLEGAL_GENERATION);
    }
    if (this.#state === "PreparingRebalance") {
      return refuseSync(ErrorCode.REBALANCE_IN_PROGRESS);
    }
    if (this.#state === "Stable") {
      this.#restartSession(member);
      return Promise.resolve({ error: ErrorCode.NONE, assignment: member.assignment });
    }
    member.answerSync?.(failedSync(ErrorCode.REBALANCE_IN_PROGRESS)); // an older, repeated request
    const answer = new Promise<SyncResult>((resolve) => {
      member.answerSync = resolve;
    });
    clearTimeout(member.sessionTimer); // who waits for us is not silent
    if (memberId === this.#leaderId) this.#completeSync(assignments);
    return answer;
  }

  /** Notes that a member lives. @returns REBALANCE_IN_PROGRESS where it must join again */
  heartbeat(memberId: string, generationId: number): ErrorCode {
    const member = this.#members.get(memberId);
    if (!member) return ErrorCode.UNKNOWN_MEMBER_ID;
    if (generationId !== this.#generationId) return ErrorCode.ILLEGAL_GENERATION;
    this.#restartSession(member);
    return this.#state === "PreparingRebalance" ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE;
  }

  /** Removes a member at its own wish; the others share its partitions at once. */
  leave(memberId: string): ErrorCode {
    if (this.#reservedIds.has(memberId)) {
      this.#expireReservedId(memberId);
      return ErrorCode.NONE;
    }
    const member = this.#members.get(memberId);
    if (!member) return ErrorCode.UNKNOWN_MEMBER_ID;
    this.#remove(member);
    return ErrorCode.NONE;
  }

  /**
   * Says whether a commit of offsets may stand, and notes that its member lives.
   * @param generationId negative from a client that is not part of a group, as admin tools are
   */
  checkCommit(memberId: string, generationId: number): ErrorCode {
    if (generationId < 0 && this.#state === "Empty") return ErrorCode.NONE;
    const member = this.#members.get(memberId);
    if (!member) return ErrorCode.UNKNOWN_MEMBER_ID;
    if (generationId !== this.#generationId) return ErrorCode.ILLEGAL_GENERATION;
    this.#restartSession(member);
    // Before a rebalance completes, members may still commit what they had; between the join and the
    // sync they do not own anything yet.
    const waitsForSync = this.#state === "CompletingRebalance";
    return waitsForSync ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE;
  }

  describe(): GroupDescription {
    const members = [...this.#members.values()].map((member) => ({
      memberId: member.id,
      clientId: member.clientId,
      clientAddress: member.clientAddress,
      metadata: this.#metadataOf(member),
      assignment: member.assignment,
    }));
    return {
      state: this.#state,
      protocolType: this.#protocolType,
      protocol: this.#protocol,
      members,
    };
  }

  /** Stops every timer. Joins and syncs that still wait are never answered. */
  close(): void {
    clearTimeout(this.#rebalanceTimer);
    for (const timer of this.#reservedIds.values()) clearTimeout(timer);
    for (const member of this.#members.values()) clearTimeout(member.sessionTimer);
  }

  /** Whether the group keeps a protocol that all its members support. */
  #isCompatible(request: JoinRequest): boolean {
    if (request.protocolType === "" || request.protocols.length === 0) return false;
    const others = [...this.#members.values()].filter((one) => one.id !== request.memberId);
    if (others.length === 0) return true;
    if (request.protocolType !== this.#protocolType) return false;
    return request.protocols.some(({ name }) => others.every((other) => supports(other, name)));
  }

  #add(id: string, request: JoinRequest): Promise<JoinResult> {
    const member: Member = {
      id,
      clientId: request.clientId,
      clientAddress: request.clientAddress,
      sessionTimeoutMs: request.sessionTimeoutMs,
      rebalanceTimeoutMs: request.rebalanceTimeoutMs,
      protocols: request.protocols,
      assignment: NO_BYTES,
      sessionTimer: undefined,
      answerJoin: undefined,
      answerSync: undefined,
    };
    this.#protocolType = request.protocolType;
    this.#members.set(id, member);
    return this.#awaitRebalance(member);
  }

  #rejoin(member: Member, request: JoinRequest): Promise<JoinResult> {
    const sameProtocols = haveSameProtocols(member.protocols, request.protocols);
    member.sessionTimeoutMs = request.sessionTimeoutMs;
    member.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
    member.protocols = request.protocols;
    this.#protocolType = request.protocolType;
    // A member that missed the answer gets it again. From the leader of a stable group a join means
    // that it wants to assign anew, for example because a topic got more partitions.
    const missedAnswer =
      this.#state === "CompletingRebalance" ||
      (this.#state === "Stable" && member.id !== this.#leaderId);
    if (missedAnswer && sameProtocols) {
      this.#restartSession(member);
      return Promise.resolve(this.#joinResultFor(member));
    }
    return this.#awaitRebalance(member);
  }

  #awaitRebalance(member: Member): Promise<JoinResult> {
    member.answerJoin?.(failedJoin(ErrorCode.REBALANCE_IN_PROGRESS, member.id)); // a repeated join
    const answer = new Promise<JoinResult>((resolve) => {
      member.answerJoin = resolve;
    });
    clearTimeout(member.sessionTimer); // who waits for us is not silent
    if (this.#state === "PreparingRebalance") this.#completeJoinIfAllJoined();
    else this.#prepareRebalance();
    return answer;
  }

  #prepareRebalance(): void {
    for (const member of this.#members.values()) {
      if (!member.answerSync) continue;
      member.answerSync(failedSync(ErrorCode.REBALANCE_IN_PROGRESS));
      member.answerSync = undefined;
      // Its join may be here already; else it has its session timeout to send it.
      if (!member.answerJoin) this.#restartSession(member);
    }
    this.#state = "PreparingRebalance";
    this.#startRebalanceTimer(() => this.#completeJoin());
    this.#completeJoinIfAllJoined();
  }

  #completeJoinIfAllJoined(): void {
    if (this.#reservedIds.size > 0) return;
    for (const member of this.#members.values()) if (!member.answerJoin) return;
    this.#completeJoin();
  }

  /** Starts a generation with the members that have joined; the others are out. */
  #completeJoin(): void {
    clearTimeout(this.#rebalanceTimer);
    for (const member of this.#members.values()) if (!member.answerJoin) this.#forget(member);
    this.#generationId += 1;
    if (this.#members.size === 0) {
      this.#state = "Empty";
      this.#protocol = "";
      this.#leaderId = "";
      this.#reportIfUnused();
      return;
    }
    this.#state = "CompletingRebalance";
    this.#protocol = this.#chooseProtocol();
    this.#leaderId = this.#members.keys().next().value ?? ""; // the longest here
    for (const member of this.#members.values()) {
      member.assignment = NO_BYTES;
      member.answerJoin?.(this.#joinResultFor(member));
      member.answerJoin = undefined;
      this.#restartSession(member);
    }
    this.#startRebalanceTimer(() => this.#removeThoseWhoDidNotSync());
  }

  #completeSync(assignments: ReadonlyMap<string, Uint8Array>): void {
    clearTimeout(this.#rebalanceTimer);
    this.#state = "Stable";
    for (const member of this.#members.values()) {
      member.assignment = assignments.get(member.id) ?? NO_BYTES;
      if (!member.answerSync) continue;
      member.answerSync({ error: ErrorCode.NONE, assignment: member.assignment });
      member.answerSync = undefined;
      this.#restartSession(member);
    }
  }

  /** Ends the wait for a leader that heartbeats but never sends the assignment. */
  #removeThoseWhoDidNotSync(): void {
    for (const member of this.#members.values()) if (!member.answerSync) this.#forget(member);
    this.#prepareRebalance();
  }

  #remove(member: Member): void {
    this.#forget(member);
    if (this.#state === "PreparingRebalance") this.#completeJoinIfAllJoined();
    else this.#prepareRebalance();
  }

  #forget(member: Member): void {
    clearTimeout(member.sessionTimer);
    this.#members.delete(member.id);
    member.answerJoin?.(failedJoin(ErrorCode.UNKNOWN_MEMBER_ID, member.id));
    member.answerSync?.(failedSync(ErrorCode.UNKNOWN_MEMBER_ID));
  }

  #expireReservedId(memberId: string): void {
    this.#dropReservedId(memberId);
    if (this.#state === "PreparingRebalance") this.#completeJoinIfAllJoined();
    else this.#reportIfUnused();
  }

  #dropReservedId(memberId: string): void {
    clearTimeout(this.#reservedIds.get(memberId));
    this.#reservedIds.delete(memberId);
  }

  #reportIfUnused(): void {
    if (this.unused) this.#onUnused();
  }

  #restartSession(member: Member): void {
    clearTimeout(member.sessionTimer);
    if (member.answerJoin || member.answerSync) return; // who waits for us is not silent
    member.sessionTimer = setTimeout(() => this.#remove(member), member.sessionTimeoutMs);
  }

  #startRebalanceTimer(onExpiry: () => void): void {
    clearTimeout(this.#rebalanceTimer);
    const timeouts = [...this.#members.values()].map((member) => member.rebalanceTimeoutMs);
    this.#rebalanceTimer = setTimeout(onExpiry, Math.max(0, ...timeouts));
  }

  /** Every member votes for the first protocol on its list that all support. */
  #chooseProtocol(): string {
    const members = [...this.#members.values()];
    const votes = new Map<string, number>();
    for (const member of members) {
      const choice = member.protocols.find(({ name }) => members.every((m) => supports(m, name)));
      if (choice) votes.set(choice.name, (votes.get(choice.name) ?? 0) + 1);
    }
    let chosen = "";
    for (const [name, count] of votes) if (count > (votes.get(chosen) ?? 0)) chosen = name;
    return chosen;
  }

  #joinResultFor(member: Member): JoinResult {
    const isLeader = member.id === this.#leaderId;
    return {
      error: ErrorCode.NONE,
      generationId: this.#generationId,
      protocol: this.#protocol,
      leaderId: this.#leaderId,
      memberId: member.id,
      members: isLeader
        ? [...this.#members.values()].map((one) => ({
            memberId: one.id,
            metadata: this.#metadataOf(one),
          }))
        : [],
    };
  }

  #metadataOf(member: Member): Uint8Array {
    return member.protocols.find(({ name }) => name === this.#protocol)?.metadata ?? NO_BYTES;
  }
}

/** A join's answer where there is nothing to tell but the error. */
export function failedJoin(error: ErrorCode, memberId: string): JoinResult {
  return { error, generationId: -1, protocol: "", leaderId: "", memberId, members: [] };
}

/** A sync's answer where there is nothing to tell but the error. */
export function failedSync(error: ErrorCode): SyncResult {
  return { error, assignment: NO_BYTES };
}

function refuseJoin(error: ErrorCode, memberId: string): Promise<JoinResult> {
  return Promise.resolve(failedJoin(error, memberId));
}

function refuseSync(error: ErrorCode): Promise<SyncResult> {
  return Promise.resolve(failedSync(error));
}

function supports(member: Member, protocol: string): boolean {
  return member.protocols.some(({ name }) => name === protocol);
}

function haveSameProtocols(left: readonly GroupProtocol[], right: readonly GroupProtocol[]) {
  return (
    left.length === right.length &&
    left.every((one, index) => {
      const other = right[index];
      return other?.name === one.name && Buffer.compare(one.metadata, other.metadata) === 0;
    })
  );
}
