/** Quantities as prose and code write them, in one unit a kind: milliseconds, bytes, a part of one. */

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  second: 1_000,
  minute: 60_000,
  hour: 3_600_000,
  h: 3_600_000,
  day: 86_400_000,
  d: 86_400_000,
  byte: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

const WORDS =
  "no one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split(
    " ",
  );

/**
 * @param text `4.5 s`, `2,000`, `64 MiB`, `five`, `a minute`, `10s`
 * @returns NaN where it is no quantity
 */
export function quantityOf(text: string): number {
  const [, written = "", unit = ""] =
    /^([A-Z]?[a-z]+|[\d.,_]+) ?([a-zµA-Z%]*)$/u.exec(text.trim()) ?? [];
  const number = numberOf(written.toLowerCase());
  if (unit === "") return number;
  if (unit === "%") return number / 100;
  return number * (UNITS[unit] ?? UNITS[unit.replace(/s$/, "")] ?? Number.NaN);
}

function numberOf(written: string): number {
  if (/^an?$/.test(written)) return 1;
  const word = WORDS.indexOf(written);
  if (word >= 0) return word;
  return /^\d/.test(written) ? Number(written.replaceAll(/[,_]/g, "")) : Number.NaN;
}

/**
 * @param code a literal, or a product of literals: `60_000`, `16 * 1024 ** 2`, `2 ** 31 - 1`, `10s`
 * @returns NaN where it is none
 */
export function literalOf(code: string): number {
  const [sum = "", less] = code.trim().split(" - ");
  const product = sum.split(/ \* /).map((factor) => {
    const [base = "", power] = factor.split(" ** ");
    const number = quantityOf(base.replaceAll(/["'()]/g, ""));
    return power === undefined ? number : number ** Number(power);
  });
  const value = product.reduce((all, factor) => all * factor, 1);
  return less === undefined ? value : value - literalOf(less);
}
