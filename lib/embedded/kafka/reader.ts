// Reads the protocol's primitive types out of one request frame.
import { isUtf8 } from "node:buffer";
import { MalformedRequestError } from "./errors.ts";
import { limits } from "./limits.ts";

/**
 * A cursor over one frame. Every method moves it on, and throws {@link MalformedRequestError} where
 * the frame ends too early or a length makes no sense; nothing is allocated on a length's word alone.
 * @see https://kafka.apache.org/41/design/protocol/#protocol-types
 */
export class Reader {
  readonly #frame: Buffer;
  #position = 0;

  constructor(frame: Buffer) {
    this.#frame = frame;
  }

  int8(): number {
    return this.#frame.readInt8(this.#advance(1));
  }

  boolean(): boolean {
    return this.int8() !== 0;
  }

  int16(): number {
    return this.#frame.readInt16BE(this.#advance(2));
  }

  int32(): number {
    return this.#frame.readInt32BE(this.#advance(4));
  }

  /** An INT64 as a number; what a number cannot hold exactly becomes the nearest safe integer. */
  int64(): number {
    const value = Number(this.#frame.readBigInt64BE(this.#advance(8)));
    return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value));
  }

  unsignedVarint(): number {
    let value = 0;
    for (let byteIndex = 0; byteIndex < 5; byteIndex++) {
      const byte = this.#frame.readUInt8(this.#advance(1));
      value += (byte & 0x7f) * 2 ** (7 * byteIndex);
      if (byte < 0x80) return value;
    }
    throw new MalformedRequestError("a varint is longer than 5 bytes");
  }

  string(): string {
    return present(this.nullableString());
  }

  nullableString(): string | null {
    return this.#text(this.int16());
  }

  compactString(): string {
    return present(this.#text(this.unsignedVarint() - 1));
  }

  bytes(): Buffer {
    return present(this.nullableBytes());
  }

  /** @returns a view into the frame: copy what outlives the request */
  nullableBytes(): Buffer | null {
    return this.#slice(this.int32());
  }

  array<T>(readItem: (reader: this) => T): T[] {
    return present(this.nullableArray(readItem));
  }

  nullableArray<T>(readItem: (reader: this) => T): T[] | null {
    const count = this.int32();
    if (count === -1) return null;
    if (count < 0 || count > Math.min(limits.arrayItemsMax, this.#remaining())) {
      throw new MalformedRequestError(`an array cannot have ${count} items`);
    }
    const items: T[] = [];
    for (let index = 0; index < count; index++) items.push(readItem(this));
    return items;
  }

  /** Skips the tagged fields that end every structure of a flexible version: none of ours has any. */
  skipTaggedFields(): void {
    const count = this.unsignedVarint();
    for (let index = 0; index < count; index++) {
      this.unsignedVarint(); // the tag
      this.#advance(this.unsignedVarint());
    }
  }

  #text(length: number): string | null {
    const bytes = this.#slice(length);
    if (bytes === null) return null;
    // Replacement characters would make a string longer than the field it is echoed in.
    if (!isUtf8(bytes)) throw new MalformedRequestError("a string is not UTF-8");
    return bytes.toString("utf8");
  }

  #slice(length: number): Buffer | null {
    if (length === -1) return null;
    const start = this.#advance(length);
    return this.#frame.subarray(start, start + length);
  }

  /** Moves on by `length` bytes and returns where they start. */
  #advance(length: number): number {
    if (length < 0 || length > this.#remaining()) {
      throw new MalformedRequestError(`${length} bytes expected, ${this.#remaining()} left`);
    }
    const start = this.#position;
    this.#position += length;
    return start;
  }

  #remaining(): number {
    return this.#frame.length - this.#position;
  }
}

function present<T>(value: T | null): T {
  if (value === null) throw new MalformedRequestError("null where a value is required");
  return value;
}
