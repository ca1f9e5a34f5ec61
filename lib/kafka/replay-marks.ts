// Replay marks: which of a partition's dead letters went back to their topic already.

/** Kafka keeps at most 4,096 bytes with a committed offset (offset.metadata.max.bytes). */
const TEXT_CHARACTERS_MAX = 4_096;

/**
 * Marks kept in Kafka itself, as a consumer group's committed offset and the text that goes with it:
 * all letters before the offset were replayed (or passed over), and those that the text lists, which
 * were picked out of order.
 */
export class ReplayMarks {
  #position: bigint;
  readonly #picked: Set<bigint>;

  /**
   * @param committed the group's offset, `-1` where it has none
   * @param text what was committed with it
   */
  constructor(committed: string, text: string | null) {
    this.#position = BigInt(committed) < 0n ? 0n : BigInt(committed);
    this.#picked = new Set((text ?? "").match(/\d+/g)?.map(BigInt));
    this.#advance();
  }

  /** The first offset that is not marked. */
  get position(): bigint {
    return this.#position;
  }

  has(offset: bigint): boolean {
    return offset < this.#position || this.#picked.has(offset);
  }

  /** Marks one letter, wherever it stands. */
  add(offset: bigint): void {
    if (offset >= this.#position) this.#picked.add(offset);
    this.#advance();
  }

  /** Marks all letters before an offset. */
  addAllBefore(offset: bigint): void {
    if (offset > this.#position) this.#position = offset;
    this.#advance();
  }

  /**
   * The marks as they are to be committed.
   *
   * @throws RangeError when more letters are picked out of order than Kafka has room to note
   */
  toCommit(): { offset: string; metadata: string } {
    const metadata = [...this.#picked].sort((a, b) => (a < b ? -1 : 1)).join(",");
    if (metadata.length > TEXT_CHARACTERS_MAX) {
      throw new RangeError("too many dead letters were replayed one by one; replay all");
    }
    return { offset: this.#position.toString(), metadata };
  }

  #advance(): void {
    for (const offset of this.#picked) if (offset < this.#position) this.#picked.delete(offset);
    while (this.#picked.delete(this.#position)) this.#position += 1n;
  }
}
