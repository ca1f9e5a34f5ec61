/** A span as something to try again: what curl, a database or a test would be given. */
import { attributeOf, textOf, type Span, type Trace } from "./model.ts";

/** One form in which a span can be copied. */
export interface Copy {
  readonly name: string;
  readonly text: () => string;
}

/** @returns the forms that this span has */
export function copies(span: Span, trace: Trace): Copy[] {
  const found: Copy[] = [];
  if (urlOf(span) !== undefined) found.push({ name: "Copy as curl", text: () => asCurl(span) });
  if (attributeOf(span, "db.query.text") !== undefined) {
    found.push({ name: "Copy as SQL", text: () => asSql(span) });
  }
  found.push({ name: "Copy as a test", text: () => asTest(span, trace) });
  return found;
}

/** A CLIENT span says its URL; a SERVER span says it in parts. */
function urlOf(span: Span): string | undefined {
  const full = attributeOf(span, "url.full");
  if (full !== undefined) return textOf(full);
  const path = attributeOf(span, "url.path");
  if (path === undefined || span.kind !== 2) return undefined;
  const scheme = textOf(attributeOf(span, "url.scheme") ?? "http");
  const port = attributeOf(span, "server.port");
  const host = textOf(attributeOf(span, "server.address") ?? "localhost");
  const queryText = attributeOf(span, "url.query");
  const name = host.includes(":") ? `[${host}]` : host;
  return `${scheme}://${name}${port === undefined ? "" : `:${textOf(port)}`}${textOf(path)}${queryText ? `?${textOf(queryText)}` : ""}`;
}

/**
 * A request like the one that the span is of. It is put together from what the span says: neither a body
 * nor other headers are known, and what was redacted stays so. It begins a trace of its own, that is kept.
 */
function asCurl(span: Span): string {
  const method = textOf(attributeOf(span, "http.request.method") ?? "GET");
  const lines = [
    "# Reconstructed from a span: its body and its other headers are not known.",
    `curl -i -X ${shellWord(method)} ${shellWord(urlOf(span) ?? "")} \\`,
    `  -H 'traceparent: 00-${randomHex(16)}-${randomHex(8)}-01'`,
  ];
  return lines.join("\n");
}

function asSql(span: Span): string {
  const parameters = span.attributes
    .filter(([key]) => key.startsWith("db.query.parameter."))
    .map(([key, value]) => `-- ${key.slice("db.query.parameter.".length)}: ${textOf(value)}`);
  const text = textOf(attributeOf(span, "db.query.text") ?? "").trim();
  const note = /\$\d|\?/.test(text) ? ["-- Reconstructed from a span: values are not on it."] : [];
  return [...note, ...parameters, `${text.replace(/;$/, "")};`].join("\n");
}

/** Attributes that are another time's or another machine's: no test should ask for them. */
const OF_ITS_TIME =
  /(\.id|_id|\.ip|\.port|address|offset|size|url\.full|user_agent|line\.number|column\.number)$/;

function asTest(span: Span, trace: Trace): string {
  const attributes = span.attributes.filter(([key]) => !OF_ITS_TIME.test(key));
  const parent = span.parent ? `${span.parent.service} ${span.parent.name}` : "nothing: a root";
  return [
    `// From trace ${trace.traceId}; it is below ${parent}.`,
    `test(${JSON.stringify(`${span.service} makes the span ${span.name}`)}, () => {`,
    `  const span = spans.find(({ name }) => name === ${JSON.stringify(span.name)});`,
    `  expect(span).toMatchObject({`,
    `    kind: ${span.kind},`,
    `    attributes: {`,
    ...attributes.map(([key, value]) => `      ${JSON.stringify(key)}: ${JSON.stringify(value)},`),
    `    },`,
    `  });`,
    `});`,
  ].join("\n");
}

function shellWord(text: string): string {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function randomHex(bytes: number): string {
  return [...crypto.getRandomValues(new Uint8Array(bytes))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
