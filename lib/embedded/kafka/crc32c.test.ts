// CRC-32C against published test vectors.
import { expect, test } from "bun:test";
import { crc32c } from "./crc32c.ts";

test("computes the checksums that RFC 3720 lists", () => {
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, index) => index)))).toBe(0x46dd794e);
  expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
});

test("gives 0 for no bytes", () => {
  expect(crc32c(new Uint8Array(0))).toBe(0);
});
