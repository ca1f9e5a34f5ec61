/** A colour for each service: by the order in which services came, so that no two of a store are alike. */

/** Hues that are told apart also by those who see fewer colours, in both themes; then the circle is divided on. */
const HUES = [212, 28, 158, 322, 48, 264, 188, 4, 96, 292, 236, 128];
/** The golden angle never comes back to where it was. */
const GOLDEN_ANGLE = 137.508;

/** @param order from 0, of the service among all of the store */
export function colorAt(order: number): string {
  const hue = HUES[order] ?? (HUES.length * 7 + order * GOLDEN_ANGLE) % 360;
  // Past the list hues come close to each other: lightness tells them apart.
  const lightness = order < HUES.length ? 52 : 40 + ((order * 11) % 30);
  return `hsl(${hue.toFixed(1)} ${order < HUES.length ? 62 : 50}% ${lightness}%)`;
}
