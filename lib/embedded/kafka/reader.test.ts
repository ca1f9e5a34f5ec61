// Reading what Writer wrote, and refusing what makes no sense.
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { MalformedRequestError } from "./errors.ts";
import { Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

describe("primitive types", () => {
  test("read back as they were written", () => {
    const values = fc.record({
      int8: fc.integer({ min: -128, max: 127 }),
      int16: fc.integer({ min: -32_768, max: 32_767 }),
      int32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      int64: fc.maxSafeInteger(),
      varint: fc.nat({ max: 2 ** 31 - 1 }),
      text: fc.option(fc.string({ unit: "grapheme", maxLength: 400 })),
      bytes: fc.uint8Array({ maxLength: 600 }),
      list: fc.array(fc.integer({ min: -128, max: 127 })),
    });
    fc.assert(
      fc.property(values, (value) => {
        const frame = new Writer(1) // 1: so that it has to grow
          .int8(value.int8)
          .int16(value.int16)
          .int32(value.int32)
          .int64(value.int64)
          .unsignedVarint(value.varint)
          .nullableString(value.text)
          .compactString(value.text ?? "")
          .bytes(value.bytes)
          .array(value.list, (out, item) => out.int8(item))
          .toFrame();
        expect(frame.readInt32BE(0)).toBe(frame.length - 4);
        const reader = new Reader(frame.subarray(4));
        expect(reader.int8()).toBe(value.int8);
        expect(reader.int16()).toBe(value.int16);
        expect(reader.int32()).toBe(value.int32);
        expect(reader.int64()).toBe(value.int64);
        expect(reader.unsignedVarint()).toBe(value.varint);
        expect(reader.nullableString()).toBe(value.text);
        expect(reader.compactString()).toBe(value.text ?? "");
        expect(new Uint8Array(reader.bytes())).toEqual(value.bytes);
        expect(reader.array((reader) => reader.int8())).toEqual(value.list);
        expect(() => reader.int8()).toThrow(MalformedRequestError);
      }),
    );
  });

  test("saturate where a 64-bit integer is more than a number can hold", () => {
    const bytes = Buffer.alloc(16);
    bytes.writeBigInt64BE(2n ** 63n - 1n, 0);
    bytes.writeBigInt64BE(-(2n ** 63n), 8);
    const reader = new Reader(bytes);
    expect(reader.int64()).toBe(Number.MAX_SAFE_INTEGER);
    expect(reader.int64()).toBe(Number.MIN_SAFE_INTEGER);
  });

  test("skip tagged fields that are not known", () => {
    const frame = new Writer().unsignedVarint(2);
    frame.unsignedVarint(0).unsignedVarint(3).raw(Buffer.from("abc"));
    frame.unsignedVarint(9).unsignedVarint(0).int8(42);
    const reader = new Reader(frame.toFrame().subarray(4));
    reader.skipTaggedFields();
    expect(reader.int8()).toBe(42);
  });
});

describe("malformed input", () => {
  const cases: [string, Buffer, (reader: Reader) => unknown][] = [
    ["a string longer than the frame", Buffer.from([0, 5, 97]), (reader) => reader.string()],
    ["a string of negative length", Buffer.from([0xff, 0xfe]), (reader) => reader.string()],
    ["null where a string is required", Buffer.from([0xff, 0xff]), (reader) => reader.string()],
    ["a string that is not UTF-8", Buffer.from([0, 1, 0xff]), (reader) => reader.string()],
    ["bytes longer than the frame", Buffer.from([0x7f, 0, 0, 0]), (reader) => reader.bytes()],
    [
      "an array longer than the frame",
      Buffer.from([0x7f, 0xff, 0xff, 0xff]),
      (reader) => reader.array((reader) => reader.int8()),
    ],
    [
      "an array of negative length",
      Buffer.from([0xff, 0xff, 0xff, 0xfe]),
      (reader) => reader.nullableArray((reader) => reader.int8()),
    ],
    ["a varint without an end", Buffer.alloc(6, 0xff), (reader) => reader.unsignedVarint()],
    ["an integer cut short", Buffer.from([0, 0, 0]), (reader) => reader.int32()],
  ];
  test.each(cases)("%s is refused", (_name, bytes, read) => {
    expect(() => read(new Reader(bytes))).toThrow(MalformedRequestError);
  });
});
