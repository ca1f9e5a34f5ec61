/** Trace and span ids as the 32-bit words that go onto the wire; their text is made where it is asked for. */

/** Words that are drawn from the system's source at a time. */
const WORDS = 2_048;

const words = new Int32Array(WORDS);
let next = WORDS;

/** 32 random bits. */
export function randomWord(): number {
  if (next === WORDS) {
    crypto.getRandomValues(words);
    next = 0;
  }
  return words[next++] ?? 0;
}

/** The id of a trace, shared by all its spans. Each word holds four bytes, the first one lowest. */
export class TraceId {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
  #text: string | undefined;

  constructor(a: number, b: number, c: number, d: number, text?: string) {
    this.a = a;
    this.b = b;
    this.c = c;
    this.d = d;
    this.#text = text;
  }

  /** A new one: never all zeros, which is no valid id. */
  static random(): TraceId {
    return new TraceId(randomWord(), randomWord(), randomWord(), randomWord() || 1);
  }

  /** @param text 32 hexadecimal digits */
  static of(text: string): TraceId {
    return new TraceId(wordAt(text, 0), wordAt(text, 8), wordAt(text, 16), wordAt(text, 24), text);
  }

  /** 32 lower-case hexadecimal digits. */
  get text(): string {
    return (this.#text ??=
      wordText(this.a) + wordText(this.b) + wordText(this.c) + wordText(this.d));
  }
}

/** Eight lower-case hexadecimal digits. */
export function wordText(word: number): string {
  return (
    (BYTES[word & 0xff] ?? "") +
    (BYTES[(word >>> 8) & 0xff] ?? "") +
    (BYTES[(word >>> 16) & 0xff] ?? "") +
    (BYTES[word >>> 24] ?? "")
  );
}

/** The word that eight hexadecimal digits of a text make. @param from where they begin */
export function wordAt(text: string, from: number): number {
  let word = 0;
  for (let byte = 0; byte < 4; byte++) {
    const high = DIGITS[text.charCodeAt(from + 2 * byte)] ?? 0;
    const low = DIGITS[text.charCodeAt(from + 2 * byte + 1)] ?? 0;
    word |= ((high << 4) | low) << (8 * byte);
  }
  return word;
}

const BYTES = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** A hexadecimal digit's value by its character code, in either case. */
const DIGITS = new Uint8Array(128);
for (let value = 0; value < 16; value++) {
  DIGITS[value.toString(16).charCodeAt(0)] = value;
  DIGITS[value.toString(16).toUpperCase().charCodeAt(0)] = value;
}
