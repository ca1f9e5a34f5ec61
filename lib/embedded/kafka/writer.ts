// Writes one frame (length, then the protocol's primitive types) into a buffer that grows.

import { MalformedRequestError } from "./errors.ts";

const LENGTH_BYTES = 4;

/**
 * Builds one frame; methods return the writer, so that a response reads like its schema.
 * @see https://kafka.apache.org/41/design/protocol/#protocol-types
 */
export class Writer {
  #buffer: Buffer;
  #position = LENGTH_BYTES;
  readonly #bytesMax: number;

  /**
   * @param capacityBytes expected size; it grows where that was too small
   * @param bytesMax past it every method throws MalformedRequestError: the request asks for too much
   */
  constructor(capacityBytes = 256, bytesMax = Number.POSITIVE_INFINITY) {
    this.#buffer = Buffer.allocUnsafe(LENGTH_BYTES + capacityBytes);
    this.#bytesMax = bytesMax;
  }

  int8(value: number): this {
    this.#reserve(1);
    this.#position = this.#buffer.writeInt8(value, this.#position);
    return this;
  }

  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }

  int16(value: number): this {
    this.#reserve(2);
    this.#position = this.#buffer.writeInt16BE(value, this.#position);
    return this;
  }

  int32(value: number): this {
    this.#reserve(4);
    this.#position = this.#buffer.writeInt32BE(value, this.#position);
    return this;
  }

  int64(value: number): this {
    this.#reserve(8);
    this.#position = this.#buffer.writeBigInt64BE(BigInt(value), this.#position);
    return this;
  }

  unsignedVarint(value: number): this {
    let rest = value;
    while (rest >= 0x80) {
      this.#uint8((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    return this.#uint8(rest);
  }

  string(value: string): this {
    const length = Buffer.byteLength(value);
    return this.int16(length).#text(value, length);
  }

  nullableString(value: string | null): this {
    return value === null ? this.int16(-1) : this.string(value);
  }

  compactString(value: string): this {
    const length = Buffer.byteLength(value);
    return this.unsignedVarint(length + 1).#text(value, length);
  }

  bytes(value: Uint8Array): this {
    return this.int32(value.length).raw(value);
  }

  /** Bytes as they are, without a length before them. */
  raw(value: Uint8Array): this {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#position);
    this.#position += value.length;
    return this;
  }

  array<T>(items: readonly T[], writeItem: (writer: this, item: T) => void): this {
    this.int32(items.length);
    for (const item of items) writeItem(this, item);
    return this;
  }

  compactArray<T>(items: readonly T[], writeItem: (writer: this, item: T) => void): this {
    this.unsignedVarint(items.length + 1);
    for (const item of items) writeItem(this, item);
    return this;
  }

  /** The tagged fields that end a structure of a flexible version: always none. */
  noTaggedFields(): this {
    return this.unsignedVarint(0);
  }

  /** @returns the whole frame, its length in front; the writer must not be used after */
  toFrame(): Buffer {
    this.#buffer.writeInt32BE(this.#position - LENGTH_BYTES, 0);
    return this.#buffer.subarray(0, this.#position);
  }

  #uint8(value: number): this {
    this.#reserve(1);
    this.#position = this.#buffer.writeUInt8(value, this.#position);
    return this;
  }

  #text(value: string, byteLength: number): this {
    this.#reserve(byteLength);
    this.#position += this.#buffer.write(value, this.#position);
    return this;
  }

  #reserve(bytes: number): void {
    const needed = this.#position + bytes;
    if (needed <= this.#buffer.length) return;
    if (needed > this.#bytesMax) {
      throw new MalformedRequestError(`its response would have more than ${this.#bytesMax} bytes`);
    }
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.#buffer.subarray(0, this.#position));
    this.#buffer = grown;
  }
}
