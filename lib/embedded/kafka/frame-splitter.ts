// Cuts a connection's byte stream into request frames: a 4-byte length, then that many bytes.
import { MalformedRequestError } from "./errors.ts";

const LENGTH_BYTES = 4;
const BLOCK_BYTES_MIN = 64 * 1024;

/**
 * Collects what arrives and hands out whole frames. Memory follows the bytes that did arrive, never
 * the length a frame claims to have.
 */
export class FrameSplitter {
  readonly #frameBytesMax: number;
  // Bytes are only ever added behind #end and a full block is replaced, not reused: frames handed
  // out are views that stay valid.
  #block: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;

  /** @param frameBytesMax a frame that claims more is malformed */
  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax;
  }

  /** Bytes that arrived and are not handed out yet. */
  get bufferedBytes(): number {
    return this.#end - this.#start;
  }

  /** Adds what the socket delivered. */
  push(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#block.length) this.#replaceBlock(chunk.length);
    this.#block.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /**
   * Takes the next frame, without its length.
   * @returns null while it is not complete
   * @throws MalformedRequestError where the length is negative, zero or above the bound
   */
  next(): Buffer | null {
    if (this.bufferedBytes < LENGTH_BYTES) return null;
    const length = this.#block.readInt32BE(this.#start);
    if (length <= 0 || length > this.#frameBytesMax) {
      throw new MalformedRequestError(`a frame cannot have ${length} bytes`);
    }
    const frameStart = this.#start + LENGTH_BYTES;
    if (this.#end < frameStart + length) return null;
    this.#start = frameStart + length;
    return this.#block.subarray(frameStart, this.#start);
  }

  #replaceBlock(moreBytes: number): void {
    const unread = this.#block.subarray(this.#start, this.#end);
    // Twice the need, so that a large frame is copied a few times, not once a chunk.
    const size = Math.max(BLOCK_BYTES_MIN, 2 * (unread.length + moreBytes));
    this.#block = Buffer.allocUnsafeSlow(size);
    this.#block.set(unread);
    this.#start = 0;
    this.#end = unread.length;
  }
}
