/** What programs write, line by line, in bounded memory. */

/** A longer line is cut. */
export const LINE_CHARS_MAX = 4_096;
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
