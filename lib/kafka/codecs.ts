// Codecs: how to read compressed batches. kafkajs brings gzip only, and stops at any other for good.
import { createRequire } from "node:module";
import { promisify } from "node:util";
import { gunzip, gzip, zstdDecompress } from "node:zlib";
import { CompressionCodecs, CompressionTypes } from "kafkajs";

/** What kafkajs wants of a codec. */
interface Codec {
  compress(records: { readonly buffer: Buffer }): Promise<Buffer>;
  decompress(batch: Buffer): Promise<Buffer>;
}

/** A batch of 1 MiB may unpack to a thousand times that: what is larger than this fails instead. */
const UNPACKED_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Makes every kafkajs client of this process read all of Kafka's codecs. Our own records come without
 * compression, but a topic's or a broker's `compression.type` packs them anew, and other producers do
 * as they like.
 *
 * What cannot be unpacked still fails the fetch: the consumer joins anew and says why it cannot go on,
 * rather than pass over records.
 */
export function registerCodecs(): void {
  for (const [type, codec] of Object.entries(CODECS)) {
    CompressionCodecs[Number(type) as keyof typeof CODECS] = () => codec;
  }
}

const bound = { maxOutputLength: UNPACKED_BYTES_MAX };

/** By the number that a batch names its codec with. */
const CODECS = {
  [CompressionTypes.GZIP]: {
    compress: ({ buffer }) => promisify(gzip)(buffer),
    decompress: (batch) => promisify<Buffer, object, Buffer>(gunzip)(batch, bound),
  },
  [CompressionTypes.Snappy]: readerOf(unpackSnappy),
  // Without a bound of its own, but LZ4 makes at most 255 bytes of one.
  [CompressionTypes.LZ4]: readerOf((batch) => load<Lz4>("lz4-napi").decompressFrame(batch)),
  [CompressionTypes.ZSTD]: readerOf((batch) =>
    promisify<Buffer, object, Buffer>(zstdDecompress)(batch, bound),
  ),
} satisfies Record<number, Codec>;

function readerOf(decompress: Codec["decompress"]): Codec {
  return { compress: refuse, decompress };
}

function refuse(): Promise<never> {
  return Promise.reject(new Error("this codec is for reading only"));
}

/** Java's clients and brokers cut a batch into blocks, with this before the first of them. */
const XERIAL_MAGIC = Buffer.from([0x82, ...Buffer.from("SNAPPY"), 0]);
/** The magic, and two version numbers of four bytes. */
const XERIAL_HEADER_BYTES = XERIAL_MAGIC.length + 8;
const XERIAL_LENGTH_BYTES = 4;

/** @see https://github.com/xerial/snappy-java#compatibility-notes */
async function unpackSnappy(batch: Buffer): Promise<Buffer> {
  const { uncompress } = load<Snappy>("snappyjs");
  if (!batch.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) {
    return uncompress(batch, UNPACKED_BYTES_MAX);
  }
  const blocks: Buffer[] = [];
  let bytesLeft = UNPACKED_BYTES_MAX;
  for (let at = XERIAL_HEADER_BYTES; at < batch.length;) {
    const start = at + XERIAL_LENGTH_BYTES;
    const end = start + batch.readUInt32BE(at);
    if (end > batch.length) throw new RangeError("a block of the Snappy batch is cut short");
    const block = uncompress(batch.subarray(start, end), bytesLeft);
    bytesLeft -= block.length;
    blocks.push(block);
    at = end;
  }
  return Buffer.concat(blocks);
}

interface Snappy {
  /** @throws Error where the bytes are not Snappy's, or would be more than `bytesMax` */
  uncompress(bytes: Buffer, bytesMax: number): Buffer;
}

interface Lz4 {
  decompressFrame(bytes: Buffer): Promise<Buffer>;
}

/** Loads a package when it is first needed: hardly ever, and one of them is a native one. */
const load = createRequire(import.meta.url) as <T>(name: string) => T;
