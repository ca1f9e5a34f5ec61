// A queue with O(1) push, shift and access by index.

const COMPACT_AT = 1_024;

/** First in, first out, and readable by position: `at(0)` is the oldest item. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** @returns the item `index` places behind the oldest, or undefined */
  at(index: number): T | undefined {
    return this.#items[this.#head + index];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Removes and returns the oldest item. */
  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined; // what left the queue must not stay in memory
    this.#head += 1;
    // Array.shift moves every item; cutting off the dead half now and then costs O(1) a call.
    if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
