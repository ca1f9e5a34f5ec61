// Request methods that are known: a caller can send others, and each would be a series of its own.

const KNOWN = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "QUERY",
  "TRACE",
  "CONNECT",
]);

// #region known
/** The method as it may be counted by: `_OTHER` is what the conventions call all the rest. */
export function knownMethod(method: string): string {
  return KNOWN.has(method) ? method : "_OTHER";
}
// #endregion known
