// OAuth 2 tokens for Kafka: the client-credentials grant, renewed before they expire.

/** What is asked for, and who asks. */
export interface ClientCredentials {
  /** The authorization server's token endpoint. */
  readonly endpoint: URL;
  readonly clientId: string;
  /** Asked for at each request, since a secret in a file is rotated. */
  readonly clientSecret: () => string;
  /** What the token is to be good for; the server's default without it. */
  readonly scope?: string | undefined;
  /** How long the server may take for an answer. @default 5_000 */
  readonly timeoutMs?: number;
}

interface Token {
  readonly text: string;
  /** When a new one is to be had, by performance.now(). */
  readonly renewAtMs: number;
}

/** Below the time that kafkajs waits for a broker's connection to be authenticated (10 s). */
const TIMEOUT_MS_DEFAULT = 5_000;
const ANSWER_BYTES_MAX = 64 * 1024;
/** Asked anew once this part of its life is over: a broker may check it a little later than we do. */
const RENEW_AFTER_PART = 0.8;
/** `b64token`. @see https://www.rfc-editor.org/rfc/rfc6750#section-2.1 */
const BEARER_TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;

/** The authorization server gives no token. */
export class TokenError extends Error {
  override readonly name = "TokenError";
}

/**
 * A source of access tokens by the client-credentials grant. A token is used until 80 % of its life
 * are over; one without a known life is asked for at each connection. Those who ask meanwhile share
 * one request, which is bounded.
 *
 * @returns gives a token. It throws TokenError where the server gives none; the text has the server's
 *   error code and neither secret nor token
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-4.4
 */
export function clientCredentials(credentials: ClientCredentials): () => Promise<string> {
  let current: Token | undefined;
  let asking: Promise<Token> | undefined;
  return async () => {
    if (current && performance.now() < current.renewAtMs) return current.text;
    asking ??= requestToken(credentials).finally(() => (asking = undefined));
    current = await asking;
    return current.text;
  };
}

/** Whether a text can be a bearer token at all. */
export function isBearerToken(text: unknown): text is string {
  return typeof text === "string" && BEARER_TOKEN.test(text);
}

async function requestToken(credentials: ClientCredentials): Promise<Token> {
  const { endpoint, scope, timeoutMs = TIMEOUT_MS_DEFAULT } = credentials;
  const askedAtMs = performance.now();
  let response: Response;
  let text: string;
  try {
    response = await fetch(endpoint, {
      method: "POST",
      headers: { authorization: basic(credentials), accept: "application/json" },
      body: new URLSearchParams({ grant_type: "client_credentials", ...(scope && { scope }) }),
      redirect: "error", // our secret goes to no one else
      signal: AbortSignal.timeout(timeoutMs),
    });
    text = await readBounded(response);
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    throw new TokenError(`${endpoint.host} gives no token: ${cause}`, { cause: error });
  }
  const answer = parseObject(text);
  if (!response.ok) {
    // The code is one of the standard's words; the description may say more than is good to log.
    const error = answer["error"];
    const code = typeof error === "string" && /^[a-z_]{1,40}$/.test(error) ? ` (${error})` : "";
    throw new TokenError(`${endpoint.host} gives no token: status ${response.status}${code}`);
  }
  const token = answer["access_token"];
  if (!isBearerToken(token)) throw new TokenError(`${endpoint.host} gives no bearer token`);
  const lifeSeconds = Number(answer["expires_in"] ?? 0);
  return {
    text: token,
    // From when it was asked for: its life began before the answer was here.
    renewAtMs: askedAtMs + (lifeSeconds > 0 ? lifeSeconds * 1_000 * RENEW_AFTER_PART : 0),
  };
}

/** @see https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1 */
function basic({ clientId, clientSecret }: ClientCredentials): string {
  const pair = `${formEncode(clientId)}:${formEncode(clientSecret())}`;
  return `Basic ${Buffer.from(pair).toString("base64")}`;
}

function formEncode(text: string): string {
  return new URLSearchParams({ text }).toString().slice("text=".length);
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`more than ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
