/**
 * Trace context across process borders: W3C `traceparent`, `tracestate` and `baggage`, read from and
 * written to HTTP headers and Kafka record headers.
 *
 * @see https://www.w3.org/TR/trace-context/
 * @see https://www.w3.org/TR/baggage/
 */
import {
  context,
  createContextKey,
  propagation,
  trace,
  TraceFlags,
  type Context,
  type SpanContext,
  type TextMapGetter,
  type TextMapPropagator,
  type TextMapSetter,
  type TraceState,
} from "@opentelemetry/api";
import {
  CompositePropagator,
  W3CBaggagePropagator,
  W3CTraceContextPropagator,
} from "@opentelemetry/core";
import { speed } from "./optional.ts";
import { parseWords, type WordList } from "./setup/environment.ts";

const TRACEPARENT = "traceparent";
const TRACESTATE = "tracestate";

const PROPAGATORS = ["tracecontext", "baggage"];

/** What a header's value may be made of; what came with a record may hold anything else. */
const HEADER_VALUE = /^[\t\x20-\x7e]+$/;

/** Record headers as kafkajs hands them over; a repeated key holds a list. */
export type KafkaHeaders = Record<string, Buffer | string | (Buffer | string)[] | undefined>;

/** The headers that one hop adds. */
export type TraceHeaders = Record<string, string>;

/**
 * Builds the propagator that OTEL_PROPAGATORS asks for.
 * @param names comma-separated, in any letters; `tracecontext`, `baggage` and `none` are known; empty
 *   counts as not set, and so does a list with nothing known in it, or with `none` beside others
 * @returns the propagator, and what was wrong with the names
 */
export function createPropagator(
  names?: string,
): { propagator: TextMapPropagator } & Pick<WordList, "unknown" | "isContradictory"> {
  const { chosen, ...problems } = parseWords(names, PROPAGATORS, PROPAGATORS);
  const propagators = chosen.map((name) =>
    name === "baggage" ? new W3CBaggagePropagator() : new TraceContextPropagator(),
  );
  return { propagator: new CompositePropagator({ propagators }), ...problems };
}

/**
 * The context that an HTTP request brought along.
 * Whatever is malformed in the headers is left out, as the specifications say; it never fails.
 */
export function extractFromHttp(parent: Context, headers: Headers): Context {
  return propagation.extract(parent, headers, httpGetter);
}

/** The context that a Kafka record brought along: the creation context of the message. */
export function extractFromKafka(parent: Context, headers: KafkaHeaders): Context {
  return propagation.extract(parent, headers, kafkaGetter);
}

/** The headers that carry the active span to the next process. */
export function injectedHeaders(from: Context = context.active()): TraceHeaders {
  const headers: TraceHeaders = {};
  propagation.inject(from, headers, headerSetter);
  return headers;
}

/** A baggage that no header can carry is left out: with it the call itself would fail. */
const headerSetter: TextMapSetter<TraceHeaders> = {
  set(headers, key, value) {
    if (HEADER_VALUE.test(value)) headers[key] = value;
  },
};

/**
 * A caller's own headers with those of the hop: where both have one, ours goes out alone. With our
 * `traceparent` the caller's `tracestate` stays behind as well: it belongs to the caller's.
 * @param own in any form that fetch takes, names in any letters; left as they are
 */
export function withTraceHeaders(
  own: ConstructorParameters<typeof Headers>[0],
  traceHeaders: TraceHeaders,
): Headers {
  const headers = new Headers(own);
  if (TRACEPARENT in traceHeaders) headers.delete(TRACESTATE);
  for (const name in traceHeaders) headers.set(name, traceHeaders[name] ?? "");
  return headers;
}

const httpGetter: TextMapGetter<Headers> = {
  keys: (headers) => [...headers.keys()],
  // `Headers` joins a header that was sent twice with a comma: two traceparents are then malformed
  // and ignored, two tracestates or baggages are one list, each as its specification says.
  get: (headers, key) => headers.get(key) ?? undefined,
};

const kafkaGetter: TextMapGetter<KafkaHeaders> = {
  keys: (headers) => Object.keys(headers),
  get: (headers, key) => {
    const value = headers[key];
    // Whoever hands a record on adds his own headers at the end: of each name the last one counts, as
    // in Kafka's own `lastHeader`. To join two tracestates would mix those of two traces.
    return (Array.isArray(value) ? value.at(-1) : value)?.toString();
  },
};

// --- Trace context, as W3C's level 2 has it ----------------------------------------------------------

/** The trace id's right half is random; whoever goes on with the trace passes the flag on. */
const RANDOM_FLAG = 0x02;

/** Whether the trace that came in has a random id, and which trace that is. */
const REMOTE_TRACE = createContextKey("orderflow.propagation.remote-trace");

/**
 * OpenTelemetry's propagator, and what it lacks: a tracestate is valid as a whole or not passed on, the
 * flag for random trace ids goes on with its trace, and flags that nobody has defined do not.
 *
 * Traces that begin here go without that flag, though their ids are random: it is there for those who
 * sample by the id downstream, which nothing here does, and receivers of level 1 have been seen to drop
 * spans whose flags are not exactly `01`.
 * @see https://www.w3.org/TR/trace-context-2/#random-trace-id-flag
 */
class TraceContextPropagator extends W3CTraceContextPropagator {
  override extract(parent: Context, carrier: unknown, getter: TextMapGetter): Context {
    const usual = speed?.parseTraceparent(String(getter.get(carrier, TRACEPARENT) ?? ""));
    const extracted = usual
      ? trace.setSpanContext(parent, usual)
      : super.extract(parent, carrier, withoutTracestate(getter));
    const remote = usual ?? trace.getSpanContext(extracted);
    if (extracted === parent || !remote) return extracted;
    const random = (remote.traceFlags & RANDOM_FLAG) !== 0;
    remote.traceFlags &= TraceFlags.SAMPLED | RANDOM_FLAG;
    const state = getter.get(carrier, TRACESTATE);
    const traceState = state === undefined ? undefined : parseTracestate(String(state));
    if (traceState) remote.traceState = traceState;
    return random ? extracted.setValue(REMOTE_TRACE, remote) : extracted;
  }

  override inject(from: Context, carrier: unknown, setter: TextMapSetter): void {
    super.inject(from, carrier, {
      set(target, key, value) {
        setter.set(target, key, key === TRACEPARENT ? withRandomFlag(from, value) : value);
      },
    });
  }
}

/** The SDK gives a child span the flag for sampling alone. */
function withRandomFlag(from: Context, traceparent: string): string {
  const remote = from.getValue(REMOTE_TRACE) as SpanContext | undefined;
  const own = trace.getSpanContext(from);
  if (!remote || !own || remote.traceId !== own.traceId) return traceparent;
  const flags = (own.traceFlags & TraceFlags.SAMPLED) | RANDOM_FLAG;
  return `${traceparent.slice(0, -2)}0${flags}`;
}

/** The propagator would read a tracestate by its own rules, and pass on the part that it understands. */
function withoutTracestate(getter: TextMapGetter): TextMapGetter {
  return {
    keys: (carrier) => getter.keys(carrier),
    get: (carrier, key) => (key === TRACESTATE ? undefined : getter.get(carrier, key)),
  };
}

const TRACESTATE_MEMBERS_MAX = 32;
/** What the specification asks for at least; longer lists are shortened, as it says. */
const TRACESTATE_CHARACTERS_MAX = 512;
/** Where a list has to be shortened, members longer than that go first. */
const LONG_MEMBER_CHARACTERS = 128;

/** A member: a key, and a value of printable ASCII without `,` and `=` that does not end with a space. */
const TRACESTATE_MEMBER =
  /^([a-z0-9][a-z0-9_\-*/@]{0,255})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])$/;

/**
 * Reads a tracestate. Of a key that stands there twice the first member is the newer one, and goes on.
 * @returns undefined where there is none, or where any member of it is malformed, or where they are too many
 * @see https://www.w3.org/TR/trace-context-2/#tracestate-header-field-values
 */
function parseTracestate(text: string): TraceState | undefined {
  const members = new Map<string, string>();
  let count = 0;
  if (!HEADER_VALUE.test(text)) return undefined;
  for (const part of text.split(",")) {
    const member = part.trim();
    if (member === "") continue;
    const [, key, value] = TRACESTATE_MEMBER.exec(member) ?? [];
    if (key === undefined || value === undefined) return undefined;
    if (++count > TRACESTATE_MEMBERS_MAX) return undefined;
    if (!members.has(key)) members.set(key, value);
  }
  return members.size > 0 ? new MemberList(shortened([...members])) : undefined;
}

type Member = readonly [key: string, value: string];

/** What fits: without the long members first, then without those at the end, which are the oldest. */
function shortened(members: readonly Member[]): readonly Member[] {
  const fits = (some: readonly Member[]) => textOf(some).length <= TRACESTATE_CHARACTERS_MAX;
  if (fits(members)) return members;
  const kept = [...members];
  for (let at = kept.length - 1; at >= 0 && !fits(kept); at--) {
    const [key, value] = kept[at] ?? ["", ""];
    if (key.length + 1 + value.length > LONG_MEMBER_CHARACTERS) kept.splice(at, 1);
  }
  while (!fits(kept)) kept.pop();
  return kept;
}

function textOf(members: readonly Member[]): string {
  return members.map(([key, value]) => `${key}=${value}`).join(",");
}

/** A tracestate. OpenTelemetry's own leaves keys of level 2 out and keeps the rest. */
class MemberList implements TraceState {
  readonly #members: readonly Member[];

  constructor(members: readonly Member[]) {
    this.#members = members;
  }

  get(key: string): string | undefined {
    return this.#members.find(([own]) => own === key)?.[1];
  }

  set(key: string, value: string): TraceState {
    if (!TRACESTATE_MEMBER.test(`${key}=${value}`)) return this;
    const others = this.#members.filter(([own]) => own !== key);
    return new MemberList(
      shortened([[key, value] as const, ...others].slice(0, TRACESTATE_MEMBERS_MAX)),
    );
  }

  unset(key: string): TraceState {
    return new MemberList(this.#members.filter(([own]) => own !== key));
  }

  serialize(): string {
    return textOf(this.#members);
  }
}
