/**
 * Protobuf's wire format, written into a buffer that grows as needed and is used again and again.
 * @see https://protobuf.dev/programming-guides/encoding/
 */
import type { HrTime } from "@opentelemetry/api";

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** Up to here a loop over the bytes is faster than a call of the runtime's function. */
const LOOP_BYTES_MAX = 48;

export class ProtobufWriter {
  buffer: Buffer;
  /** Where the next byte goes. */
  at = 0;
  #second = 0;
  #secondLow = 0;
  #secondHigh = 0;

  /** @param capacityBytes to begin with */
  constructor(capacityBytes: number) {
    this.buffer = Buffer.alloc(capacityBytes);
  }

  /** Makes sure that so many bytes more can be written. */
  reserve(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return;
    const larger = Buffer.alloc(2 * (this.at + bytes));
    larger.set(this.buffer.subarray(0, this.at));
    this.buffer = larger;
  }

  /** Begins a message, whose length is not known yet. @returns where it begins, for `endMessage` */
  startMessage(field: number): number {
    this.reserve(8);
    this.writeTag(field, BYTES);
    return this.at++;
  }

  /** Ends a message: writes its length in front of it, for which one byte is free so far. */
  endMessage(start: number): void {
    const length = this.at - start - 1;
    if (length < 0x80) {
      this.buffer[start] = length;
      return;
    }
    const more = varintBytes(length) - 1;
    this.reserve(more);
    this.buffer.copyWithin(start + 1 + more, start + 1, this.at);
    this.at = start;
    this.writeVarint(length);
    this.at += length;
  }

  writeString(field: number, text: string): void {
    const { length } = text;
    this.reserve(3 * length + 8);
    const start = this.startMessage(field);
    if (length > LOOP_BYTES_MAX || !this.#writeAscii(text))
      this.at += this.buffer.write(text, this.at);
    this.endMessage(start);
  }

  /** @returns false where the text is not ASCII alone; nothing counts as written then */
  #writeAscii(text: string): boolean {
    const { buffer, at } = this;
    let all = 0;
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      all |= code;
      buffer[at + index] = code;
    }
    if (all > 0x7f) return false;
    this.at = at + text.length;
    return true;
  }

  /** Bytes that were written before, as they are. */
  copy(bytes: Uint8Array): void {
    const { length } = bytes;
    this.reserve(length);
    const { buffer, at } = this;
    if (length > LOOP_BYTES_MAX) buffer.set(bytes, at);
    else for (let index = 0; index < length; index++) buffer[at + index] = bytes[index]!;
    this.at = at + length;
  }

  /** @param value from 0 to 2^31 - 1 */
  writeVarintField(field: number, value: number): void {
    this.reserve(16);
    this.writeTag(field, VARINT);
    this.writeVarint(value);
  }

  /** A whole number of any size as an int64, negative ones too. */
  writeInt64Field(field: number, value: number): void {
    if (value >= 0 && value <= 0x7fff_ffff) return this.writeVarintField(field, value);
    this.reserve(16);
    this.writeTag(field, VARINT);
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest > 0x7fn; rest >>= 7n) this.buffer[this.at++] = Number(rest & 0x7fn) | 0x80;
    this.buffer[this.at++] = Number(rest);
  }

  writeDoubleField(field: number, value: number): void {
    this.reserve(16);
    this.writeTag(field, FIXED64);
    this.at = this.buffer.writeDoubleLE(value, this.at);
  }

  writeFixed32Field(field: number, value: number): void {
    this.reserve(8);
    this.writeTag(field, FIXED32);
    this.writeWord(value);
  }

  /** A time as nanoseconds since 1970. @param time in milliseconds, or as the API's pair */
  writeTimeField(field: number, time: number | HrTime): void {
    if (typeof time === "number") {
      const seconds = Math.floor(time / 1000);
      this.#writeNanosField(field, seconds, Math.floor((time - seconds * 1000) * 1e6));
    } else {
      this.#writeNanosField(field, time[0], time[1]);
    }
  }

  #writeNanosField(field: number, seconds: number, nanos: number): void {
    this.reserve(16);
    this.writeTag(field, FIXED64);
    // Most spans start and end in the same second, so big numbers are rarely needed.
    if (this.#second !== seconds) {
      const start = BigInt(seconds) * 1_000_000_000n;
      this.#second = seconds;
      this.#secondLow = Number(start & 0xffff_ffffn);
      this.#secondHigh = Number(start >> 32n);
    }
    const low = this.#secondLow + nanos;
    this.writeWord(low);
    this.writeWord(this.#secondHigh + (low > 0xffff_ffff ? 1 : 0));
  }

  /** Four bytes, the lowest first; room for them was reserved. */
  writeWord(word: number): void {
    const { buffer, at } = this;
    buffer[at] = word;
    buffer[at + 1] = word >>> 8;
    buffer[at + 2] = word >>> 16;
    buffer[at + 3] = word >>> 24;
    this.at = at + 4;
  }

  /** Field numbers here are below 32, so a tag takes one byte or two. */
  writeTag(field: number, wireType: number): void {
    const tag = (field << 3) | wireType;
    if (tag > 0x7f) {
      this.buffer[this.at++] = (tag & 0x7f) | 0x80;
      this.buffer[this.at++] = tag >>> 7;
    } else {
      this.buffer[this.at++] = tag;
    }
  }

  writeVarint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.buffer[this.at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.buffer[this.at++] = rest;
  }

  /** A number over the four bytes at a place, as a varint of that size. @param value below 2^28 */
  patchLength(place: number, value: number): void {
    const { buffer } = this;
    buffer[place] = (value & 0x7f) | 0x80;
    buffer[place + 1] = ((value >>> 7) & 0x7f) | 0x80;
    buffer[place + 2] = ((value >>> 14) & 0x7f) | 0x80;
    buffer[place + 3] = (value >>> 21) & 0x7f;
  }
}

/** How many bytes a number takes as a varint. @param value from 0 to 2^31 - 1 */
function varintBytes(value: number): number {
  return value < 0x80
    ? 1
    : value < 0x4000
      ? 2
      : value < 0x20_0000
        ? 3
        : value < 0x1000_0000
          ? 4
          : 5;
}
