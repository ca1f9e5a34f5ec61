// Reads the error code out of a refusal.
import { RefusedError, type ErrorCode } from "../errors.ts";

/** @returns the code an action is refused with, null where it is not; other errors pass through */
export function refusalOf(action: () => unknown): ErrorCode | null {
  try {
    action();
    return null;
  } catch (error) {
    if (error instanceof RefusedError) return error.code;
    throw error;
  }
}
