/** The e-mail service's own configuration. */
import { ConfigError, type Env } from "#lib/service/config.ts";

const DELAY_MS_MAX = 60_000;

export interface EmailConfig {
  /** How long the sending of one mail takes. */
  delayMs: { min: number; max: number };
}

/** EMAIL_DELAY_MS=min-max, both in milliseconds; 50-200 where it is not set. */
export function loadEmailConfig(env: Env): Readonly<EmailConfig> {
  const [, min, max] = /^(\d{1,6})-(\d{1,6})$/.exec(env["EMAIL_DELAY_MS"] || "50-200") ?? [];
  const delayMs = { min: Number(min), max: Number(max) };
  if (!(delayMs.min <= delayMs.max && delayMs.max <= DELAY_MS_MAX)) {
    throw new ConfigError(
      `EMAIL_DELAY_MS must be min-max in milliseconds, at most ${DELAY_MS_MAX}`,
    );
  }
  return { delayMs };
}
