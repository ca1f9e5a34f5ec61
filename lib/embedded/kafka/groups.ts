// The group coordinator: every consumer group with the offsets it committed.
import { ErrorCode, RefusedError } from "./errors.ts";
import { Group } from "./group.ts";
import { limits } from "./limits.ts";

/** How far a group got in one partition. */
export interface CommittedOffset {
  /** The next record to read. */
  readonly offset: number;
  readonly metadata: string;
}

interface GroupEntry {
  readonly group: Group;
  /** By topic, then partition. */
  readonly offsets: Map<string, Map<number, CommittedOffset>>;
}

/** All consumer groups. A group exists while it has members or committed offsets. */
export class GroupCoordinator {
  readonly #entries = new Map<string, GroupEntry>();

  /** @returns the group, or undefined where nobody has used that id */
  find(groupId: string): Group | undefined {
    return this.#entries.get(groupId)?.group;
  }

  /**
   * @returns the group, made where it is new; call {@link GroupCoordinator.discardIfUnused} where
   *   nothing came of it
   * @throws RefusedError INVALID_GROUP_ID for the empty id, POLICY_VIOLATION when there are too many
   */
  findOrCreate(groupId: string): Group {
    return this.#entry(groupId).group;
  }

  /** Forgets a group without members and offsets. */
  discardIfUnused(groupId: string): void {
    const entry = this.#entries.get(groupId);
    if (entry?.group.unused && entry.offsets.size === 0) this.#entries.delete(groupId);
  }

  /** All groups, by id. */
  list(): { groupId: string; group: Group }[] {
    return [...this.#entries].map(([groupId, { group }]) => ({ groupId, group }));
  }

  /** Stores a group's position in one partition. The caller checked that it may. */
  commitOffset(groupId: string, topic: string, partition: number, offset: CommittedOffset): void {
    const { offsets } = this.#entry(groupId);
    const partitions = offsets.get(topic) ?? new Map<number, CommittedOffset>();
    offsets.set(topic, partitions.set(partition, offset));
  }

  /** @returns the committed position, or undefined */
  committedOffset(groupId: string, topic: string, partition: number): CommittedOffset | undefined {
    return this.#entries.get(groupId)?.offsets.get(topic)?.get(partition);
  }

  /** The partitions a group has committed offsets for, by topic. */
  committedPartitions(groupId: string): { topic: string; partitions: number[] }[] {
    const offsets = this.#entries.get(groupId)?.offsets ?? new Map<string, Map<number, unknown>>();
    return [...offsets].map(([topic, partitions]) => ({
      topic,
      partitions: [...partitions.keys()],
    }));
  }

  /** Forgets the positions in a topic that was deleted. */
  deleteTopic(topic: string): void {
    for (const [groupId, { offsets }] of this.#entries) {
      if (offsets.delete(topic)) this.discardIfUnused(groupId);
    }
  }

  /** Stops every timer. */
  close(): void {
    for (const { group } of this.#entries.values()) group.close();
  }

  #entry(groupId: string): GroupEntry {
    const known = this.#entries.get(groupId);
    if (known) return known;
    if (groupId === "") throw new RefusedError(ErrorCode.INVALID_GROUP_ID, "the group id is empty");
    if (this.#entries.size >= limits.groupsMax) {
      const reason = `this broker holds at most ${limits.groupsMax} groups`;
      throw new RefusedError(ErrorCode.POLICY_VIOLATION, reason);
    }
    const group = new Group(() => this.discardIfUnused(groupId));
    const entry: GroupEntry = { group, offsets: new Map() };
    this.#entries.set(groupId, entry);
    return entry;
  }
}
