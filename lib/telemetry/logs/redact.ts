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
const SHORT_SECRET_WORDS = "pass|auth|jwt|sig|otp";
/** Of a query's parameter the whole name, as these words have other meanings elsewhere. */
const SECRET_PARAMETER =
  /^(?:key|code|code_verifier|ticket|assertion|session|(?:php|j)?sess(?:ion)?[-_.]?id|(?:connect\.)?sid|saml(?:request|response))(?:\[\])?$/i;

const SECRET_NAME = new RegExp(
  `(?:${SECRET_WORDS}|(?<![a-z])(?:${SHORT_SECRET_WORDS}))(?![a-z])`,
  "i",
);

/** The name of a header or a field that holds a secret, up to where its value begins. */
const AUTHORIZATION = /authorization\\?["']?\s*[:=]\s*/gi;
const SECRET_ASSIGNMENT = new RegExp(
  `(?:${SECRET_WORDS}|\\b(?:${SHORT_SECRET_WORDS}))\\\\?["']?\\s*[:=]\\s*`,
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
  const shown = withoutUserinfo(text);
  return withoutValues(withoutValues(shown, AUTHORIZATION, headerEnd), SECRET_ASSIGNMENT, valueEnd)
    .replace(BEARER, `$1${REDACTED}`)
    .replace(BASIC, `$1${REDACTED}`);
}

/**
 * Replaces `user:password@` in URLs, wherever they stand in a text. A password may hold an `@`, and a
 * `/` unless what stands before that is a port. Each character is looked at a bounded number of times:
 * as one pattern this took time in proportion to the square of the text's length.
 */
function withoutUserinfo(text: string): string {
  return text.includes("://") ? text.replace(/[^\s"']+/g, wordWithoutUserinfo) : text;
}

function wordWithoutUserinfo(word: string): string {
  const lastAt = word.lastIndexOf("@");
  let shown = "";
  let done = 0;
  let from = 0;
  while (from <= lastAt) {
    const mark = word.indexOf("://", from);
    if (mark < 0 || mark > lastAt) break;
    from = mark + "://".length;
    AUTHORITY.lastIndex = from;
    const authority = AUTHORITY.exec(word)?.[0] ?? "";
    const at = authority.lastIndexOf("@");
    const colon = authority.indexOf(":");
    const isPassword =
      colon >= 0 && from + colon < lastAt && !/^:\d*$/.test(authority.slice(colon));
    const end = at >= 0 ? from + at + 1 : isPassword ? lastAt + 1 : undefined;
    if (end === undefined) {
      from += authority.length;
      continue;
    }
    shown += `${word.slice(done, from)}${REDACTED}:${REDACTED}@`;
    done = end;
    from = end;
  }
  return shown + word.slice(done);
}

/** A URL's authority ends at its path, its query or its fragment. */
const AUTHORITY = /[^/?#]*/y;

/**
 * Replaces what stands behind each name that a pattern finds.
 * @param endOf where the value ends that begins there; there itself where none does
 */
function withoutValues(
  text: string,
  name: RegExp,
  endOf: (text: string, from: number) => number,
): string {
  let shown = "";
  let done = 0;
  name.lastIndex = 0;
  while (name.test(text)) {
    const from = name.lastIndex;
    const end = endOf(text, from);
    if (end === from) continue;
    shown += text.slice(done, from) + REDACTED;
    done = end;
    name.lastIndex = end;
  }
  return shown + text.slice(done);
}

/** A header's value goes to the end of its line, or of the text in quotes that it stands in. */
function headerEnd(text: string, from: number): number {
  return text[from] === '"' ? quoteEnd(text, from) : endAfter(REST_OF_LINE, text, from);
}

/**
 * A value goes to its closing quote, also within JSON that is itself a text; without quotes to what
 * divides values. One whose closing quote is missing was cut off: all of the rest belongs to it.
 */
function valueEnd(text: string, from: number): number {
  if (text.startsWith('\\"', from)) {
    const close = text.indexOf('\\"', from + 2);
    return close < 0 ? text.length : close + 2;
  }
  if (text[from] === '"' || text[from] === "'") return quoteEnd(text, from);
  let end = endAfter(UNQUOTED, text, from);
  // A comma with a space behind it divides; without one it may be a part of the value.
  while (text[end] === "," && /\S/.test(text[end + 1] ?? "")) {
    end = endAfter(UNQUOTED, text, end + 1);
  }
  return end;
}

const REST_OF_LINE = /[^\r\n]*/y;
const UNQUOTED = /[^\s,;&"'\\]*/y;
const UNTIL_DOUBLE_QUOTE = /[^"\\]*/y;
const UNTIL_SINGLE_QUOTE = /[^'\\]*/y;

function quoteEnd(text: string, from: number): number {
  const inside = text[from] === '"' ? UNTIL_DOUBLE_QUOTE : UNTIL_SINGLE_QUOTE;
  let end = endAfter(inside, text, from + 1);
  while (text[end] === "\\") end = endAfter(inside, text, end + 2);
  return Math.min(end + 1, text.length);
}

function endAfter(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  return from + (pattern.exec(text)?.[0].length ?? 0);
}

/**
 * Replaces the values of secret parameters in a query string, as the HTTP conventions ask for
 * `url.query` and `url.full`, and credentials within other values.
 * @param query without the leading `?`
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/registry/attributes/url.md
 */
export function redactQuery(query: string): string {
  return query.replace(/[^&;]+/g, (parameter) => {
    const at = parameter.indexOf("=");
    if (at < 0) return parameter;
    const name = parameter.slice(0, at);
    const plainName = decodeLoosely(name);
    const value =
      isSecretName(plainName) || SECRET_PARAMETER.test(plainName)
        ? REDACTED
        : redactPath(parameter.slice(at + 1));
    return `${name}=${value}`;
  });
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
