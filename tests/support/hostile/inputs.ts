/** Generators of hostile input: texts, JSON texts, paths, queries, headers and whole requests. */
import * as fc from "fast-check";

/** A request as it goes over the wire. */
export interface HostileRequest {
  readonly method: string;
  readonly target: string;
  /** Name and value; Host and the body's framing come by themselves. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array | undefined;
  /** Send the body in chunks of this many bytes; undefined sends a Content-Length. */
  readonly chunkBytes: number | undefined;
  /** Whether the bytes may not be HTTP at all; the server may then refuse them in its own words. */
  readonly mayBreakHttp: boolean;
}

/** The one header that an injection tries to smuggle into an answer. */
export const INJECTED_HEADER = "x-injected";

const NASTY_TEXTS = [
  "",
  " ",
  "'",
  '"',
  "\\",
  "';--",
  "' OR '1'='1",
  "'; DROP TABLE orders.orders; --",
  "1; SELECT pg_sleep(10)",
  "$1",
  "${7*7}",
  "{{7*7}}",
  "%s%n%x",
  "../../../../etc/passwd",
  "<script>alert(1)</script>",
  `x\r\n${INJECTED_HEADER}: 1`,
  `x\n${INJECTED_HEADER}: 1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n`,
  "\u0000",
  "a\u0000b",
  "\u0001\u001b[2J\u007f\u0085",
  "\u2028\u2029\ufeff\u202e",
  "\ud800",
  "\udc00x",
  "💥".repeat(255),
  "💥".repeat(256),
  "é".normalize("NFD").repeat(128),
  "x".repeat(64),
  "x".repeat(65),
  "x".repeat(255),
  "x".repeat(256),
  "x".repeat(20_000),
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "null",
  "undefined",
  "NaN",
  "true",
  "-1",
  "0",
  "1e3",
  "99999999999999999999",
  "00000000-0000-0000-0000-000000000000",
  "ITEM-001",
  "pending",
  "someone@example.com",
  "@",
  "a@",
] as const;

/** A text that somebody hopes to do harm with, as JavaScript has it: lone surrogates too. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...NASTY_TEXTS) },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 80 }) },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 300 }) },
);

/** JSON's syntax and what looks like it; JSON.stringify would never write most of them. */
const NASTY_JSON = [
  "1e400",
  "-1e400",
  "1e-400",
  "-0",
  "0.1",
  "1.0",
  "1E2",
  "01",
  "+1",
  ".5",
  "0x10",
  "NaN",
  "Infinity",
  "undefined",
  "'x'",
  "/* */ 1",
  "9007199254740993",
  "2147483648",
  "1000000001",
  "9".repeat(400),
  '"\\ud800"',
  '"\\u0000"',
  '"\\x41"',
  '"a\tb"',
  '{"__proto__":{"status":"shipped"}}',
  '{"constructor":{"prototype":{"status":"shipped"}}}',
  '{"toString":1,"valueOf":2,"toJSON":3}',
  '{"a":1,"a":2}',
  '{"length":-1}',
  "[]",
  "{}",
  "[[]]",
  "[null]",
  "[,]",
  "{,}",
  `${"[".repeat(64)}${"]".repeat(64)}`,
  `${"[".repeat(20_000)}${"]".repeat(20_000)}`,
  '{"a":'.repeat(5_000),
  `[${"1,".repeat(5_000)}1]`,
] as const;

/** The text of one JSON value, or of what is nearly one. */
const hostileJson: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: hostileText.map((text) => JSON.stringify(text)) },
  { weight: 4, arbitrary: fc.constantFrom(...NASTY_JSON) },
  { weight: 2, arbitrary: fc.maxSafeInteger().map(String) },
  { weight: 1, arbitrary: fc.double().map(String) },
  { weight: 2, arbitrary: fc.json({ maxDepth: 4 }) },
);

/** What an object's fields are when nobody means harm: the text of each value. */
export type ValidFields = Readonly<Record<string, string>>;

const EXTRA_KEYS = [
  "__proto__",
  "constructor",
  "id",
  "status",
  "total",
  "",
  "toString",
  "a\u0000b",
];

/**
 * The text of an object that has the given fields – but some are hostile, missing, doubled or
 * joined by others.
 */
function nearly(fields: ValidFields): fc.Arbitrary<string> {
  const own = Object.entries(fields).map(([name, value]) =>
    fc.oneof(
      { weight: 16, arbitrary: fc.constant([pair(name, value)]) },
      { weight: 3, arbitrary: hostileJson.map((hostile) => [pair(name, hostile)]) },
      { weight: 1, arbitrary: fc.constant<string[]>([]) },
      {
        weight: 1,
        arbitrary: hostileJson.map((hostile) => [pair(name, value), pair(name, hostile)]),
      },
    ),
  );
  const extra = fc.array(
    fc.tuple(fc.constantFrom(...EXTRA_KEYS), hostileJson).map(([key, json]) => pair(key, json)),
    { maxLength: 2 },
  );
  return fc
    .tuple(fc.tuple(...own), extra)
    .map(([entries, more]) => `{${[...entries.flat(), ...more].join(",")}}`);
}

function pair(name: string, json: string): string {
  return `${JSON.stringify(name)}:${json}`;
}

/** Bytes that are no UTF-8: lone continuation, overlong `/`, an encoded surrogate, beyond Unicode. */
const BAD_UTF8 = ["80", "c0af", "eda080", "f4908080", "ff", "e282"].map((hex) =>
  Buffer.from(hex, "hex"),
);

/** A body: the text of an object like the given one, or something else altogether. */
export function hostileBody(fields: ValidFields): fc.Arbitrary<Uint8Array> {
  const text = fc.oneof(
    { weight: 10, arbitrary: nearly(fields) },
    { weight: 3, arbitrary: hostileJson },
    { weight: 1, arbitrary: fc.constantFrom("", " ", "\ufeff{}", "{", '{"', "null", "\u0000") },
  );
  const damage = fc.tuple(fc.nat(), fc.nat(), fc.constantFrom(...BAD_UTF8));
  return fc.oneof(
    { weight: 12, arbitrary: text.map((value) => Buffer.from(value)) },
    {
      weight: 2,
      arbitrary: fc.tuple(text, damage).map(([value, [kind, place, bad]]) => {
        const bytes = Buffer.from(value);
        const at = place % (bytes.length + 1);
        if (kind % 2 === 0) return bytes.subarray(0, at);
        return Buffer.concat([bytes.subarray(0, at), bad, bytes.subarray(at)]);
      }),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  );
}

/** The body of `POST /orders`. @param itemId of an item that an order may really take from */
export function hostileOrder(itemId: string): fc.Arbitrary<Uint8Array> {
  const line = nearly({ item_id: JSON.stringify(itemId), quantity: "1", price: "100" });
  const items = fc
    .array(line, { minLength: 1, maxLength: 3 })
    .map((lines) => `[${lines.join(",")}]`);
  return items.chain((list) => hostileBody({ customer_id: '"hostile"', items: list }));
}

const NASTY_SEGMENTS = [
  ".",
  "..",
  "...",
  "%2e%2e",
  "%2e%2e%2f%2e%2e%2fhealthz",
  "..%2f..%2fetc%2fpasswd",
  "..%5c",
  "%252e%252e",
  "%00",
  "a%00b",
  "%",
  "%2",
  "%ZZ",
  "%u0041",
  "%c0%af",
  "%ff",
  "%ed%a0%80",
  "%F0%9F%92%A9",
  `%0d%0a${INJECTED_HEADER}:%201`,
  `%0a${INJECTED_HEADER}:%201%0d%0a%0d%0a`,
  "'%20OR%20'1'='1",
  "%27;%20DROP%20TABLE%20orders.orders;--",
  "__proto__",
  "constructor",
  ":id",
  "*",
  "{id}",
  "a;b=c",
  "a%2Fb",
  "a//b",
  "",
  "~",
  "%E2%80%AE%E2%80%A8",
  "00000000-0000-0000-0000-000000000000",
  "00000000-0000-0000-0000-00000000000",
  "ITEM-001",
  "x".repeat(65),
  "x".repeat(3_000),
  "%41".repeat(2_000),
  "a/".repeat(500),
] as const;

/** One segment of a path, as it is written on the request line. */
const hostileSegment: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...NASTY_SEGMENTS) },
  { weight: 2, arbitrary: hostileText.map(percentEncoded) },
  { weight: 1, arbitrary: fc.string({ maxLength: 30 }).map((text) => text.replace(/[\s?#]/g, "")) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map(percentEncodedBytes) },
);

/** @param pattern of a route: each `:name` in it becomes hostile */
export function hostilePath(pattern: string): fc.Arbitrary<string> {
  const parts = pattern.split("/").map((part) => {
    if (!part.startsWith(":")) return fc.constant(part);
    return hostileSegment;
  });
  return fc.tuple(...parts).map((segments) => segments.join("/"));
}

/** A query string, with its `?`; or none. */
export const hostileQuery: fc.Arbitrary<string> = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom("", "?", "??", "?&&&", "?=", "?limit", "?%", "?%ZZ=%") },
  {
    weight: 5,
    arbitrary: fc
      .array(
        fc.tuple(
          fc.constantFrom("limit", "cursor", "status", "customer_id", "__proto__", "limit[]", ""),
          fc.oneof(
            fc.constantFrom(...NASTY_SEGMENTS),
            hostileText.map(percentEncoded),
            fc.integer({ min: -1, max: 300 }).map(String),
            fc.base64String({ maxLength: 60 }),
            fc.constantFrom("pending", "confirmed", "MTcwMCBub3QtYS11dWlk"),
          ),
        ),
        { minLength: 1, maxLength: 4 },
      )
      .map((pairs) => `?${pairs.map(([name, value]) => `${name}=${value}`).join("&")}`),
  },
);

const HEADER_NAMES = [
  "Idempotency-Key",
  "traceparent",
  "tracestate",
  "baggage",
  "Content-Type",
  "Content-Encoding",
  "Accept",
  "Accept-Encoding",
  "Authorization",
  "Cookie",
  "Expect",
  "Forwarded",
  "If-None-Match",
  "Origin",
  "Range",
  "Referer",
  "User-Agent",
  "X-Forwarded-For",
  "X-HTTP-Method-Override",
  "X-Request-Timeout-Ms",
  "__proto__",
] as const;

const HEADER_VALUES = [
  "",
  "0",
  "50",
  "-1",
  "9999999",
  "1e9",
  ",",
  "00-00000000000000000000000000000000-0000000000000000-00",
  "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
  "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-zz",
  Array.from({ length: 40 }, (_, index) => `k${index}=v`).join(","),
  Array.from({ length: 200 }, (_, index) => `key${index}=%E2%82%AC;meta=1`).join(","),
  "=,=;=",
  "%",
  "gzip",
  "multipart/form-data; boundary=",
  "application/x-www-form-urlencoded",
  "text/plain; charset=utf-16",
  "bytes=0-18446744073709551615",
  "x".repeat(256),
  "x".repeat(4_000),
  "'; DROP TABLE orders.orders; --",
  "\u0080\u00ff",
  "a\tb",
] as const;

/** Headers that HTTP allows, however odd. */
const oddHeaders = fc.array(
  fc.tuple(
    fc.constantFrom(...HEADER_NAMES),
    fc.oneof(
      fc.constantFrom(...HEADER_VALUES),
      // oxlint-disable-next-line no-control-regex
      hostileText.map((text) => text.slice(0, 500).replace(/[^\t\u0020-\u007e\u0080-\u00ff]/g, "")),
    ),
  ),
  { maxLength: 4 },
);

/** Headers that may not be HTTP. */
const brokenHeaders = fc.array(
  fc.tuple(
    fc.oneof(
      fc.constantFrom(...HEADER_NAMES, "Host", "Connection", "Upgrade", "", " X", "X Y", "X:", "é"),
      fc.string({ maxLength: 10 }),
    ),
    fc.oneof(
      fc.constantFrom(
        ...HEADER_VALUES,
        "upgrade",
        "websocket",
        "a\u0000b",
        "a\rb",
        "a\nb",
        "\u0001\u007f",
        `x\r\n${INJECTED_HEADER}: 1`,
        "[::1]:99999",
        "evil.example:0",
        "x".repeat(20_000),
      ),
      fc.string({ unit: "binary", maxLength: 40 }),
    ),
  ),
  { minLength: 1, maxLength: 3 },
);

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] as const;
const ODD_METHODS = ["CONNECT", "QUERY", "PROPFIND", "get", "GETT", "G", "", "G T", "G\tT", "💥"];

/** A route of a service, and what a body for it looks like. */
export interface Route {
  readonly method: string;
  readonly pattern: string;
  readonly body?: fc.Arbitrary<Uint8Array>;
  /** How often among the others. @default 8 where there is a body, else 4 */
  readonly weight?: number;
}

/** Requests that are HTTP, to the given routes or nearly to them. */
export function hostileRequests(routes: readonly Route[]): fc.Arbitrary<HostileRequest> {
  const chunkBytes = fc.oneof(
    { weight: 4, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 5_000 }) },
  );
  const onRoute = routes.map((route) => ({
    weight: route.weight ?? (route.body ? 8 : 4),
    arbitrary: fc.record<HostileRequest>({
      method: fc.oneof(
        { weight: 8, arbitrary: fc.constant(route.method) },
        { weight: 1, arbitrary: fc.constantFrom(...METHODS) },
      ),
      target: target(route),
      headers: fc.oneof(
        { weight: 2, arbitrary: fc.constant([]) },
        { weight: 1, arbitrary: oddHeaders },
      ),
      body: route.body ?? fc.constant(undefined),
      chunkBytes,
      mayBreakHttp: fc.constant(false),
    }),
  }));
  const broken = fc.record<HostileRequest>({
    method: fc.constantFrom(...METHODS, ...ODD_METHODS),
    target: fc.oneof(
      fc.constantFrom("/", "*", "//", "http://evil.example/orders", "evil.example:80", "/a b", ""),
      hostileSegment.map((segment) => `/${segment}`),
      fc.string({ unit: "binary", maxLength: 40 }).map((text) => `/${text}`),
      fc.constant(`/${"x".repeat(30_000)}`),
    ),
    headers: fc.oneof(oddHeaders, brokenHeaders),
    body: fc.option(fc.uint8Array({ maxLength: 100 }), { nil: undefined }),
    chunkBytes,
    mayBreakHttp: fc.constant(true),
  });
  return fc.oneof(...onRoute, { weight: 4, arbitrary: broken });
}

/** A route whose path has nothing to replace is asked with hostile queries, or plain where it takes a body. */
function target(route: Route): fc.Arbitrary<string> {
  const path = hostilePath(route.pattern);
  if (route.body) return path;
  return fc.tuple(path, hostileQuery).map((parts) => parts.join(""));
}

/** The bytes of a request. */
export function requestBytes(request: HostileRequest, host: string): Buffer {
  const { method, target, headers, body, chunkBytes } = request;
  const lines = [`${method} ${target} HTTP/1.1`, `Host: ${host}`, "Connection: close"];
  for (const [name, value] of headers) lines.push(`${name}: ${value}`);
  if (body) {
    lines.push(chunkBytes ? "Transfer-Encoding: chunked" : `Content-Length: ${body.byteLength}`);
  }
  const head = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, isLatin1(lines) ? "latin1" : "utf8");
  if (!body) return head;
  return Buffer.concat([head, chunkBytes ? inChunks(body, chunkBytes) : body]);
}

/** A body in HTTP's chunks. */
export function inChunks(body: Uint8Array, chunkBytes: number): Buffer {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < body.byteLength; at += chunkBytes) {
    const chunk = body.subarray(at, at + chunkBytes);
    parts.push(Buffer.from(`${chunk.byteLength.toString(16)}\r\n`), chunk, Buffer.from("\r\n"));
  }
  parts.push(Buffer.from("0\r\n\r\n"));
  return Buffer.concat(parts);
}

function isLatin1(lines: readonly string[]): boolean {
  // oxlint-disable-next-line no-control-regex
  return lines.every((line) => /^[\u0000-\u00ff]*$/.test(line));
}

function percentEncoded(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

function percentEncodedBytes(bytes: Uint8Array): string {
  return [...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}
