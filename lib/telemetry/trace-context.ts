/**
 * `traceparent` and `tracestate` as W3C's level 2 has them: the SDK's propagator, and what it lacks.
 * @see https://www.w3.org/TR/trace-context-2/
 */
import {
  createContextKey,
  trace,
  TraceFlags,
  type Context,
  type SpanContext,
  type TextMapGetter,
  type TextMapSetter,
  type TraceState,
} from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { speed } from "./optional.ts";

export const TRACEPARENT = "traceparent";
export const TRACESTATE = "tracestate";

/** What a header's value may be made of; what came with a record may hold anything else. */
export const HEADER_VALUE = /^[\t\x20-\x7e]+$/;

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
export class TraceContextPropagator extends W3CTraceContextPropagator {
  override extract(parent: Context, carrier: unknown, getter: TextMapGetter): Context {
    const usual = speed?.parseTraceparent?.(String(getter.get(carrier, TRACEPARENT) ?? ""));
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
