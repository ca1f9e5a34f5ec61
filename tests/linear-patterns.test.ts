/**
 * Whatever meets text from outside takes time in proportion to its length. A pattern that does not is
 * a way to stop a service with one request: `GET /inventory?aaaa…` once took 0.3 s of redaction.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { propagation, ROOT_CONTEXT } from "@opentelemetry/api";
import { answerJaegerQuery } from "#lib/embedded/traces/jaeger-query.ts";
import { decodeOtlp } from "#lib/embedded/traces/otlp-codec.ts";
import { refuseForeign } from "#lib/embedded/traces/own-requests.ts";
import { describeError } from "#lib/kafka/errors.ts";
import { parseOrderCreated } from "#lib/orders/order-created.ts";
import { orderMadeAt } from "#lib/orders/order-id.ts";
import { readIdempotencyKey } from "#lib/service/idempotency-key.ts";
import { isUtf8Query, isUuid } from "#lib/service/validation.ts";
import { elysiaTelemetry } from "#lib/telemetry/http/elysia.ts";
import {
  createPropagator,
  extractFromHttp,
  extractFromKafka,
  injectedHeaders,
} from "#lib/telemetry/propagation.ts";
import { isSecretName, redactPath, redactQuery, redactText } from "#lib/telemetry/logs/redact.ts";
import { errorText } from "#lib/telemetry/error-text.ts";
import { summarizeQuery } from "#lib/telemetry/sql/summary.ts";
import { withoutLiterals } from "#lib/telemetry/sql/text.ts";
import { Elysia } from "elysia";
import { parsePageRequest } from "../services/orders/list-page.ts";

const TRACEPARENT = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";

beforeAll(() => {
  propagation.setGlobalPropagator(createPropagator().propagator);
  return () => propagation.disable();
});

/** What meets text from outside, and how that text gets there. */
const READERS: Readonly<Record<string, (text: string) => unknown>> = {
  "a text's secrets": redactText,
  "a query's secrets": redactQuery,
  "a path's secrets": redactPath,
  "a name that may be a secret's": isSecretName,
  "an error's text": (text) => errorText(new Error(text)),
  "a dead letter's reason": (text) => describeError(new Error(text)),
  "a statement's summary": (text) => summarizeQuery(text),
  "a statement's literals": (text) => withoutLiterals(text),
  "a statement's literals, of MySQL": (text) => withoutLiterals(text, "mysql"),
  "a statement's literals, of SQLite": (text) => withoutLiterals(text, "sqlite"),
  traceparent: (traceparent) => extractFromKafka(ROOT_CONTEXT, { traceparent }),
  "the rest of a later traceparent": (text) =>
    extractFromKafka(ROOT_CONTEXT, { traceparent: `${TRACEPARENT.replace(/^00/, "01")}-${text}` }),
  tracestate: (tracestate) =>
    extractFromKafka(ROOT_CONTEXT, { traceparent: TRACEPARENT, tracestate }),
  baggage: (baggage) => injectedHeaders(extractFromKafka(ROOT_CONTEXT, { baggage })),
  "tracestate over HTTP": (text) => {
    const headers = new Headers({ traceparent: TRACEPARENT, tracestate: encodeURI(text) });
    return extractFromHttp(ROOT_CONTEXT, headers);
  },
  "a request's URL": (text) => app.handle(new Request(`http://h/x?${encodeURI(text)}`)),
  "a request's path": (text) => app.handle(new Request(`http://h/${encodeURI(text)}`)),
  "a request's Host": (text) => refuseForeign(requestTo(encodeURI(text)), "localhost"),
  "a page's cursor": (text) =>
    quietly(() => parsePageRequest(new URLSearchParams({ cursor: text }))),
  "a page's limit": (text) => quietly(() => parsePageRequest(new URLSearchParams({ limit: text }))),
  "an Idempotency-Key": (text) =>
    quietly(() => readIdempotencyKey(new Headers({ "Idempotency-Key": encodeURI(text) }))),
  "a query's encoding": (text) => isUtf8Query(`?${text}`),
  "an order's id": (text) => [isUuid(text), orderMadeAt(text)],
  "an event": (text) =>
    quietly(() => parseOrderCreated(Buffer.from(JSON.stringify({ order_id: text })))),
  "a search's duration": (text) => searchTraces({ minDuration: text }),
  "a search's start": (text) => searchTraces({ start: text }),
  "a search's tag": (text) => searchTraces({ tag: text }),
  "a trace's id": (text) =>
    answerJaegerQuery(NO_TRACES, new URL(`http://h/api/traces/${encodeURIComponent(text)}`)),
  "ids and numbers in OTLP": (text) => {
    for (const field of ["traceId", "startTimeUnixNano", "flags"]) {
      const body = JSON.stringify({
        resourceSpans: [{ scopeSpans: [{ spans: [{ [field]: text }] }] }],
      });
      quietly(() => decodeOtlp("ExportTraceServiceRequest", "application/json", Buffer.from(body)));
    }
  },
};

const app = new Elysia().use(elysiaTelemetry()).get("/x", () => "");

const NO_TRACES = { get: () => undefined, all: () => [] };

/** Of these, repeated, texts are made: what some pattern begins with, goes on with or ends at. */
const UNITS = [
  ..."aA0 \t\n=&;%:/@'\"\\,-_.[($é\u2028",
  "aA",
  "Aa",
  "a ",
  "a=",
  "=a",
  "a,",
  "a=b,",
  "%4",
  "%41",
  "%c3",
  "://",
  "a://",
  "a://b:c",
  "a://b@",
  "a://b:1/",
  "token",
  "token=",
  'token="',
  "token='",
  'token:\\"',
  "token=a,",
  "token \n",
  "password: ",
  "authorization",
  "authorization: ",
  'authorization:"a',
  "bearer ",
  "bearer a",
  "Basic ",
  "Basic abcdef ",
  "basic  A=",
  "access_key=",
  "apikey'=",
  "--",
  "/*",
  "*/",
  "$a$",
  "''",
  "'a",
  "E'\\",
  "1m",
  "1.",
  "1.5",
  "1ms1",
  "1e",
  "FROM ",
  "FROM  a",
  "FROM a.b ",
  "SELECT ",
  "FOR ",
  "FOR NO ",
  "DO  ",
  "k=v,",
  "k=v;p,",
  "a@",
  "00-",
];
const PREFIXES = ["", 'token="', "a://b:", "SELECT '", "E'", "/*"];
const SUFFIXES = ["", "!\n@"];

const SHAPES = UNITS.flatMap((unit) =>
  PREFIXES.flatMap((prefix) => SUFFIXES.map((suffix) => [prefix, unit, suffix] as const)),
);

const SIZE = 1_024;
const GROWTH = 8;
/** Half way, in orders of magnitude, from growing with the length to growing with its square. */
const RATIO_MAX = GROWTH * Math.sqrt(GROWTH);
/** Below it a clock says nothing; what is quadratic takes a thousand times as long at the larger size. */
const TIME_MIN_MS = 0.05;
const ROUNDS_MAX = 20;

describe.each(Object.entries(READERS))("%s", (_, read) => {
  test(`takes about ${GROWTH} times as long for a text that is ${GROWTH} times as long`, async () => {
    const superlinear: Record<string, number> = {};
    for (const [prefix, unit, suffix] of SHAPES) {
      const make = (length: number) => prefix + unit.repeat(length / unit.length) + suffix;
      const ratio = await growth(read, make(SIZE), make(SIZE * GROWTH));
      if (ratio > RATIO_MAX) superlinear[JSON.stringify([prefix, unit, suffix])] = ratio;
      // A few are enough to find the pattern by, and each takes its time.
      if (Object.keys(superlinear).length === 3) break;
    }
    expect(superlinear).toEqual({});
  }, 120_000);
});

/** How many times as long the larger text takes, at the least: a first time may compile, another collect garbage. */
async function growth(
  read: (text: string) => unknown,
  small: string,
  large: string,
): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS_MAX && least > RATIO_MAX; round++) {
    const [smallMs, largeMs] = [await timed(read, small), await timed(read, large)];
    least = Math.min(least, largeMs / Math.max(smallMs, TIME_MIN_MS));
  }
  return least;
}

/** Of this thread's own time: on a busy machine the clock tells what others did. */
async function timed(read: (text: string) => unknown, text: string): Promise<number> {
  const before = process.threadCpuUsage();
  await read(text);
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}

/** What is refused has been read, too. */
function quietly(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    return error;
  }
}

function requestTo(host: string): Request {
  return new Request("http://h/", { headers: { host } });
}

function searchTraces(parameters: Record<string, string>): unknown {
  const url = new URL("http://h/api/traces");
  url.search = String(new URLSearchParams(parameters));
  return answerJaegerQuery(NO_TRACES, url);
}
