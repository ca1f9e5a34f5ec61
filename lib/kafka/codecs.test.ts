import { expect, test } from "bun:test";
import { createRequire } from "node:module";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { CompressionCodecs, CompressionTypes } from "kafkajs";
import { registerCodecs } from "./codecs.ts";

registerCodecs();

const require = createRequire(import.meta.url);
const snappy = require("snappyjs") as { compress(bytes: Buffer): Buffer };
const lz4 = require("lz4-napi") as { compressFrameSync(bytes: Buffer): Buffer };

const records = Buffer.from(JSON.stringify(Array.from({ length: 500 }, (_, n) => `order ${n}`)));

/** Snappy as Java writes it: a header, then blocks with their length before them. */
function xerial(bytes: Buffer, blockBytes: number): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += blockBytes) {
    blocks.push(snappy.compress(bytes.subarray(at, at + blockBytes)));
  }
  return xerialOf(blocks);
}

function xerialOf(blocks: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [Buffer.from("82534e41505059000000000100000001", "hex")];
  for (const block of blocks) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

type CodecType = keyof typeof CompressionCodecs;

/** The codec that kafkajs takes. */
function codecOf(type: CodecType) {
  return CompressionCodecs[type]() as {
    compress(records: { buffer: Buffer }): Promise<Buffer>;
    decompress(batch: Buffer): Promise<Buffer>;
  };
}

const batches: [name: string, CodecType, Buffer][] = [
  ["gzip", CompressionTypes.GZIP, gzipSync(records)],
  ["Snappy", CompressionTypes.Snappy, snappy.compress(records)],
  ["Snappy in one block of Java", CompressionTypes.Snappy, xerial(records, 32 * 1024)],
  ["Snappy in many blocks of Java", CompressionTypes.Snappy, xerial(records, 1_000)],
  ["LZ4", CompressionTypes.LZ4, lz4.compressFrameSync(records)],
  ["Zstandard", CompressionTypes.ZSTD, zstdCompressSync(records)],
];

test.each(batches)("%s is unpacked", async (_, type, batch) => {
  expect((await codecOf(type).decompress(batch)).equals(records)).toBeTrue();
});

test("a block of Java's Snappy that is cut short is an error", async () => {
  const batch = xerial(records, 1_000).subarray(0, -1);
  await expect(codecOf(CompressionTypes.Snappy).decompress(batch)).rejects.toThrow("cut short");
});

const bomb = Buffer.alloc(65 * 1024 * 1024);
const blocksOfBomb = Array<Buffer>(13).fill(snappy.compress(bomb.subarray(0, 5 * 1024 * 1024)));

test.concurrent.each([
  ["gzip", CompressionTypes.GZIP, gzipSync(bomb)],
  ["Snappy", CompressionTypes.Snappy, snappy.compress(bomb)],
  ["Snappy in blocks of Java", CompressionTypes.Snappy, xerialOf(blocksOfBomb)],
  ["Zstandard", CompressionTypes.ZSTD, zstdCompressSync(bomb)],
] as const)("%s that would fill the memory is an error", async (_, type, batch) => {
  await expect(codecOf(type).decompress(batch)).rejects.toThrow(/larger|too big/);
});

test("we write with gzip, and with no codec that we only read", async () => {
  const gzip = codecOf(CompressionTypes.GZIP);
  const batch = await gzip.compress({ buffer: records });
  expect((await gzip.decompress(batch)).equals(records)).toBeTrue();
  const written = codecOf(CompressionTypes.ZSTD).compress({ buffer: records });
  await expect(written).rejects.toThrow("reading only");
});
