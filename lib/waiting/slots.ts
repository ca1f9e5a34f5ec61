// Slots: a bounded number of things are done at once; the others stand in line for a slot.

/** A counting semaphore, first come first served, that can be held shut. */
export class Slots {
  readonly #count: number;
  #taken = 0;
  #holds = 0;
  /** Those in line, in order of arrival. */
  readonly #line = new Set<() => void>();
  #idle: PromiseWithResolvers<void> | undefined;

  /** @param count how many slots there are, at least 1 */
  constructor(count: number) {
    this.#count = count;
  }

  /** How many slots are taken. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * Takes a slot, once it is this caller's turn.
   *
   * @throws the signal's reason, as soon as it aborts; then no slot was taken
   */
  acquire(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const enter = () => {
      signal.removeEventListener("abort", leave);
      resolve();
    };
    const leave = () => {
      this.#line.delete(enter);
      reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    this.#line.add(enter);
    this.#admit();
    return promise;
  }

  /**
   * Takes a slot, once it is this caller's turn, within a time. Cheaper than a signal made for it.
   *
   * @throws what `onLate` makes, after `ms`; then no slot was taken
   */
  acquireWithin(ms: number, onLate: () => Error): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.#line.delete(enter);
      reject(onLate());
    }, ms);
    const enter = () => {
      clearTimeout(timer);
      resolve();
    };
    this.#line.add(enter);
    this.#admit();
    return promise;
  }

  /** Takes a slot where one is free and nobody stands in line. @returns whether it did */
  tryAcquire(): boolean {
    if (this.#holds > 0 || this.#taken >= this.#count || this.#line.size > 0) return false;
    this.#taken += 1;
    return true;
  }

  /** Gives a slot back. */
  release(): void {
    this.#taken -= 1;
    this.#admit();
    if (this.#taken === 0) this.#idle?.resolve();
  }

  /**
   * Hands out no slot until the returned function is called. Several holds may overlap; slots that are
   * taken stay taken.
   */
  hold(): () => void {
    this.#holds += 1;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#holds -= 1;
      this.#admit();
    };
  }

  /** Resolves when no slot is taken, at once where none is. */
  idle(): Promise<void> {
    if (this.#taken === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers();
    const { promise } = this.#idle;
    void promise.then(() => (this.#idle = undefined));
    return promise;
  }

  #admit(): void {
    while (this.#holds === 0 && this.#taken < this.#count) {
      const [next] = this.#line;
      if (next === undefined) return;
      this.#line.delete(next);
      this.#taken += 1;
      next();
    }
  }
}
