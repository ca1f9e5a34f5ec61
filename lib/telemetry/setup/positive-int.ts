/** Numbers in the environment. */
import { logger } from "../logs/logger.ts";
import type { Env } from "./environment.ts";

/** The longest time that a timer can wait; it turns a longer one into none. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * A positive integer that a timer can wait for too; what is malformed is reported and ignored, as the
 * specification says.
 */
export function positiveInt(env: Env, name: string, fallback: number): number {
  const text = env[name]?.trim();
  if (!text) return fallback;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return Math.min(value, TIMER_MS_MAX);
  logger.warn(`${name} is not a positive integer; ${fallback} is used instead`);
  return fallback;
}
