/** Ids for headers of traces: 16 bytes make a trace's, 8 a span's. @returns two hex digits a byte */
export function randomHex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}
