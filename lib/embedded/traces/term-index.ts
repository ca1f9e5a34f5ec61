/** Which holders have which terms: exact lookups, and searches for a part of a term. */

/** Of a longer term its beginning is searched: what is longer is no word that anybody types. */
const LOWER_CHARS_MAX = 1_000;

interface Entry<T> {
  /** In lower case, as texts are searched for. */
  readonly lower: string;
  /** Most terms, such as ids, have one holder alone: a set for each of those would cost more than the term. */
  holders: T | Set<T>;
}

/** Terms of a kind, such as a service's name, with those that hold them. */
export class TermIndex<T extends object> {
  readonly #entries = new Map<string, Entry<T>>();

  /** @returns how many different terms there are */
  get size(): number {
    return this.#entries.size;
  }

  /** Says that `holder` has the term; once more is the same. */
  add(term: string, holder: T): void {
    const entry = this.#entries.get(term);
    if (!entry) {
      this.#entries.set(term, {
        lower: term.slice(0, LOWER_CHARS_MAX).toLowerCase(),
        holders: holder,
      });
    } else if (entry.holders instanceof Set) {
      entry.holders.add(holder);
    } else if (entry.holders !== holder) {
      entry.holders = new Set([entry.holders, holder]);
    }
  }

  /** Takes it back. */
  remove(term: string, holder: T): void {
    const entry = this.#entries.get(term);
    if (!entry) return;
    if (entry.holders instanceof Set) {
      entry.holders.delete(holder);
      if (entry.holders.size > 0) return;
    } else if (entry.holders !== holder) {
      return;
    }
    this.#entries.delete(term);
  }

  /** @returns who has exactly this term */
  holdersOf(term: string): ReadonlySet<T> {
    const holders = this.#entries.get(term)?.holders;
    return holders instanceof Set ? holders : new Set(holders ? [holders] : []);
  }

  /** @returns who has a term that contains the text, whatever its case */
  holdersWith(text: string): Set<T> {
    const wanted = text.toLowerCase();
    const found = new Set<T>();
    for (const { lower, holders } of this.#entries.values()) {
      if (!lower.includes(wanted)) continue;
      if (holders instanceof Set) for (const holder of holders) found.add(holder);
      else found.add(holders);
    }
    return found;
  }
}
