/** Keeps secrets out of telemetry: what a URL, an error text or a log field may not show. */

/** What a secret is called, within a longer name too: `dbPassword`, `accesstoken`, `client_secret`. */
const SECRET_WORDS = [
  "passw(?:or)?ds?",
  "passphrase",
  "pwd",
  "token",
  "secrets?",
  "authorization",
  "cookie",
  "credentials?",
  "api[-_.]?key",
  "access[-_.]?key(?:id)?",
  "private[-_.]?key",
  "signature",
].join("|");
/** Too short to be looked for inside other words. */
const SHORT_SECRET_WORDS = "pass|auth|jwt|sig";

const SECRET_NAME = new RegExp(
  `(?:${SECRET_WORDS}|(?<![a-z])(?:${SHORT_SECRET_WORDS}))(?![a-z])`,
  "i",
);

/**
 * `scheme://user:password@` – a URL's userinfo, wherever it stands in a text. A password may hold an
 * `@`, and a `/` unless what stands before that is a port. The bounds keep the search linear.
 */
const URL_USERINFO =
  /(\b[a-z][a-z0-9+.-]{0,30}:\/\/)(?:[^/?#\s"']*|[^/?#\s"':]*:(?!\d*[/?#])[^\s"']*)@/gi;

/** A header's value goes to the end of its line, or of the text in quotes that it stands in. */
const AUTHORIZATION = /(authorization\\?["']?\s*[:=]\s*)("(?:\\.|[^"\\])*"|[^\r\n]+)/gi;

/** `password=abc`, `"token": "abc"`, also within JSON that is itself a text: a secret's name and value. */
const SECRET_ASSIGNMENT = new RegExp(
  `((?:${SECRET_WORDS}|\\b(?:${SHORT_SECRET_WORDS}))\\\\?["']?\\s*[:=]\\s*)` +
    String.raw`(\\".*?\\"|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?:[^\s,;&"'\\]|,(?=\S))+)`,
  "gi",
);

/** Credentials of RFC 7235 without the header's name in front of them. */
const BEARER = /\b(bearer\s+)[\w.~+/=-]{6,}/gi;
const BASIC = /\b([Bb]asic\s+)(?=\S*[A-Z0-9=])[A-Za-z0-9+/]{6,}={0,2}/g;

export const REDACTED = "REDACTED";

/**
 * Whether a field, header or query parameter of this name holds a secret.
 * @param name for example `password`, `authorization`, `X-Api-Key`, `accessToken`
 */
export function isSecretName(name: string): boolean {
  const words = name.replace(/([a-z])([A-Z])/g, "$1_$2").replace(/([A-Z])([A-Z][a-z])/g, "$1_$2");
  return SECRET_NAME.test(words);
}

/**
 * Replaces credentials in free text (an error message, a log message, a URL).
 * @param text any text; returned unchanged where nothing in it looks like a secret
 */
export function redactText(text: string): string {
  return text
    .replace(URL_USERINFO, `$1${REDACTED}:${REDACTED}@`)
    .replace(AUTHORIZATION, `$1${REDACTED}`)
    .replace(SECRET_ASSIGNMENT, `$1${REDACTED}`)
    .replace(BEARER, `$1${REDACTED}`)
    .replace(BASIC, `$1${REDACTED}`);
}

/**
 * Replaces the values of secret parameters in a query string, as the HTTP conventions ask for
 * `url.query` and `url.full`, and credentials within other values.
 * @param query without the leading `?`
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/registry/attributes/url.md
 */
export function redactQuery(query: string): string {
  return query.replace(/([^&;=]*)=([^&;]*)/g, (_, name: string, value: string) =>
    isSecretName(decodeLoosely(name)) ? `${name}=${REDACTED}` : `${name}=${redactPath(value)}`,
  );
}

/**
 * Replaces credentials in a URL's path, or in another part of one.
 * @param text percent-encoded, as it is in the URL
 */
export function redactPath(text: string): string {
  // No credential is without one of these. Most paths have none, and each request has a path.
  if (!/[%:=@]/.test(text)) return text;
  const plain = decodeLoosely(text);
  const shown = redactText(plain);
  return shown === plain ? text : encodeURI(shown.toWellFormed());
}

/** Decodes what is percent-encoded, and leaves what only looks like it. */
function decodeLoosely(text: string): string {
  return text.replace(/(?:%[\da-f]{2})+/gi, (encoded) => {
    try {
      return decodeURIComponent(encoded);
    } catch {
      return encoded;
    }
  });
}
