/** What came, written down as it came: OTLP's JSON, an export a line, readable by others. */
import { createWriteStream } from "node:fs";
import { once } from "node:events";

/** A file of that size is no session of a person any more. */
const FILE_BYTES_MAX = 1024 ** 3;
/** A disk that is so far behind is not going to catch up. */
const WAITING_BYTES_MAX = 64 * 1024 ** 2;

/** A file that exports are added to. */
export class KeptFile {
  readonly #path: string;
  readonly #stream: ReturnType<typeof createWriteStream>;
  #bytes: number;
  #problem: string | undefined;

  /** @param path added to where it is there @param bytes that it has */
  constructor(path: string, bytes: number) {
    this.#path = path;
    this.#bytes = bytes;
    this.#stream = createWriteStream(path, { flags: "a" });
    this.#stream.on("error", (error) => {
      this.#problem = `${path} is not written any more: ${error.message}`;
    });
  }

  /** @returns why nothing is added any more; undefined where all is well */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Adds one export request. */
  add(request: Record<string, unknown>): void {
    if (this.#problem) return;
    const line = `${JSON.stringify(request)}\n`;
    if (this.#bytes + line.length > FILE_BYTES_MAX) {
      this.#problem = `${this.#path} has ${FILE_BYTES_MAX} bytes: nothing is added any more`;
      return;
    }
    if (this.#stream.writableLength > WAITING_BYTES_MAX) {
      this.#problem = `${this.#path} is not written any more: the disk is too slow`;
      return;
    }
    this.#bytes += line.length;
    this.#stream.write(line);
  }

  /** Ends when all is written. */
  async close(): Promise<void> {
    if (this.#stream.closed || this.#stream.destroyed) return;
    this.#stream.end();
    await once(this.#stream, "close");
  }
}
