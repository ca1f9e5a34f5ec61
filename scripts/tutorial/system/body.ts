/** Bodies of HTTP messages, read with a bound. */

const BYTES_MAX = 4 * 1024 ** 2;

/** @throws Error where it has more than 4 MiB */
export async function readBody(chunks: AsyncIterable<Uint8Array> | null): Promise<Buffer> {
  const read: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks ?? []) {
    bytes += chunk.byteLength;
    if (bytes > BYTES_MAX) throw new Error(`the body has more than ${BYTES_MAX} bytes`);
    read.push(chunk);
  }
  return Buffer.concat(read);
}
