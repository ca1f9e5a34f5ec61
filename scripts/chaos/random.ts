/** Random numbers that come again with the same seed. */

/** Draws from a seeded sequence. */
export interface Random {
  /** @returns a number from 0 up to, but without, 1 */
  next(): number;
  /** @returns an integer from `min` to `max`, both included */
  integer(min: number, max: number): number;
  /** @returns one of them; `list` must not be empty */
  pick<T>(list: readonly T[]): T;
  /** @returns them all, in another order */
  shuffle<T>(list: readonly T[]): T[];
}

/** Mulberry32: small, and good enough to mix orders and kills. @param seed 32 bits */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (min: number, max: number) => min + Math.floor(next() * (max - min + 1));
  return {
    next,
    integer,
    pick: (list) => list[integer(0, list.length - 1)] as (typeof list)[number],
    shuffle(list) {
      const shuffled = [...list];
      for (let last = shuffled.length - 1; last > 0; last--) {
        const other = integer(0, last);
        [shuffled[last], shuffled[other]] = [
          shuffled[other] as (typeof list)[number],
          shuffled[last] as (typeof list)[number],
        ];
      }
      return shuffled;
    },
  };
}
