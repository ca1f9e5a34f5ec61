/** What programs write, line by line, in bounded memory. */

const LINE_CHARS_MAX = 4_096;
const LINES_MAX = 1_000;

/** The latest lines of a program. */
export class LatestLines {
  #lines: string[] = [];

  add(line: string): void {
    this.#lines.push(line);
    // Cut seldom, so that a flood costs little.
    if (this.#lines.length >= 2 * LINES_MAX) this.#lines = this.#lines.slice(-LINES_MAX);
  }

  clear(): void {
    this.#lines = [];
  }

  /** @returns the latest, oldest first */
  all(): readonly string[] {
    return this.#lines.slice(-LINES_MAX);
  }
}

/** Reads a stream to its end, and tells of each line; a longer one is cut. */
export async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = cut(lines.pop() ?? "");
    for (const line of lines) onLine(cut(line));
  }
  if (rest) onLine(rest);
}

function cut(line: string): string {
  return line.length > LINE_CHARS_MAX ? line.slice(0, LINE_CHARS_MAX) : line;
}
