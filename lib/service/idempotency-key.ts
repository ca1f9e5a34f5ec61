/**
 * The `Idempotency-Key` header of a request: by it a caller that got no answer may ask again without
 * doing twice what it asked for.
 * @see https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07 – which
 *   wants a quoted string; quotes are visible ASCII, so one that is quoted is a key as well
 */
import { BadInputError } from "./errors.ts";

export const IDEMPOTENCY_KEY_HEADER = "idempotency-key";

/**
 * 1 to 255 visible ASCII characters. A header that is sent twice arrives as one with `, ` in it, and a
 * space is not visible.
 */
const KEY = /^[\x21-\x7e]{1,255}$/;

/**
 * Reads the key of a request.
 * @returns undefined where the request has none
 * @throws BadInputError where it is empty, too long, sent twice, or has other characters in it
 */
export function readIdempotencyKey(headers: Headers): string | undefined {
  const key = headers.get(IDEMPOTENCY_KEY_HEADER);
  if (key === null) return undefined;
  if (!KEY.test(key)) {
    throw new BadInputError(
      "Idempotency-Key must be one header of 1 to 255 visible ASCII characters",
    );
  }
  return key;
}
