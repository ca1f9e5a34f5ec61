/** Keeps secrets out of telemetry: what a URL, an error text or a log field may not show. */

/** Names whose values are never shown, compared without regard to case or separators. */
const SECRET_NAME =
  /passw(or)?d|access[-_.]?key|(^|[^a-z])(pass(phrase)?|pwd|secret|token|authorization|cookie|credentials?|api[-_.]?key|private[-_.]?key|signature|sig)($|[^a-z])/i;

/**
 * `scheme://user:password@` – a URL's userinfo, wherever it stands in a text; it may hold an `@`. The
 * bound on the scheme keeps the search linear.
 */
const URL_USERINFO = /(\b[a-z][a-z0-9+.-]{0,30}:\/\/)[^/?#\s"']*@/gi;

/** `Authorization: Bearer abc`, `password=abc`: a secret's name followed by its value. */
const SECRET_ASSIGNMENT =
  /(authorization|password|passwd|pwd|secret|token|cookie|api[-_]?key|access[-_]?key)(["']?\s*[:=]\s*)(?:(?:bearer|basic)\s+)?("[^"]*"|'[^']*'|[^\s,;&"']+)/gi;

export const REDACTED = "REDACTED";

/**
 * Whether a field, header or query parameter of this name holds a secret.
 * @param name for example `password`, `authorization`, `X-Api-Key`, `accessToken`
 */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name.replace(/([a-z])([A-Z])/g, "$1_$2"));
}

/**
 * Replaces credentials in free text (an error message, a log message, a URL).
 * @param text any text; returned unchanged where nothing in it looks like a secret
 */
export function redactText(text: string): string {
  return text
    .replace(URL_USERINFO, `$1${REDACTED}:${REDACTED}@`)
    .replace(SECRET_ASSIGNMENT, `$1$2${REDACTED}`);
}

/**
 * Replaces the values of secret parameters in a query string, as the HTTP conventions ask for
 * `url.query` and `url.full`.
 * @param query without the leading `?`
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/registry/attributes/url.md
 */
export function redactQuery(query: string): string {
  return query
    .split("&")
    .map((pair) => {
      const name = pair.split("=", 1)[0] ?? "";
      return name.length < pair.length && isSecretName(decodeLoosely(name))
        ? `${name}=${REDACTED}`
        : pair;
    })
    .join("&");
}

function decodeLoosely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
