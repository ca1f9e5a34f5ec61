// CRC-32C (Castagnoli), the checksum of Kafka's record batches. Bun's own crc32 is the other polynomial.

// The polynomial 0x1EDC6F41 with its bits reversed, as the byte-wise algorithm shifts to the right.
const POLYNOMIAL = 0x82f63b78;
const table = buildTable();

/**
 * Computes CRC-32C.
 * @returns an unsigned 32-bit number
 * @see https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4 for its test vectors
 */
export function crc32c(bytes: Uint8Array): number {
  let crc = -1;
  for (let index = 0; index < bytes.length; index++) {
    crc = (crc >>> 8) ^ (table[(crc ^ (bytes[index] ?? 0)) & 0xff] ?? 0);
  }
  return (crc ^ -1) >>> 0;
}

function buildTable(): Int32Array {
  const entries = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    entries[byte] = crc;
  }
  return entries;
}
