/** A tracer of our own behind the API's interface; who is sampled is decided by the SDK's samplers. */
import {
  context,
  INVALID_SPAN_CONTEXT,
  isSpanContextValid,
  SpanKind,
  trace,
  TraceFlags,
  type Context,
  type Span,
  type SpanContext,
  type SpanOptions,
  type TimeInput,
  type Tracer,
} from "@opentelemetry/api";
import { isTracingSuppressed } from "@opentelemetry/core";
import { SamplingDecision, type Sampler, type SpanLimits } from "@opentelemetry/sdk-trace-base";
import type { StartAttributes } from "../span.ts";
import { TraceId, wordAt } from "./ids.ts";
import { RecordedSpan, type ParentId, type TakeSpan } from "./recorded-span.ts";
import { RemoteParent } from "./traceparent.ts";
import { UnrecordedSpan } from "./unrecorded-span.ts";

/**
 * What a sampler says of itself that does as the parent did, wherever there is one: it need not be asked
 * then. @see https://opentelemetry.io/docs/specs/otel/trace/sdk/#getdescription
 */
const FOLLOWS_PARENT =
  /, remoteParentSampled=AlwaysOnSampler, remoteParentNotSampled=AlwaysOffSampler, localParentSampled=AlwaysOnSampler, localParentNotSampled=AlwaysOffSampler\}$/;

/** And one that takes every trace that begins here. */
const TAKES_ROOTS = /^ParentBased\{root=AlwaysOnSampler, /;

export class SpeedyTracer implements Tracer {
  readonly #sampler: Sampler;
  readonly #followsParent: boolean;
  readonly #takesRoots: boolean;
  readonly #limits: Required<SpanLimits>;
  readonly #take: TakeSpan;
  readonly #begin: TakeSpan | undefined;

  /**
   * @param take gets each span that is sampled when it has ended
   * @param begin and when it has begun
   */
  constructor(
    sampler: Sampler,
    limits: Required<SpanLimits>,
    take: TakeSpan,
    begin?: TakeSpan | undefined,
  ) {
    this.#sampler = sampler;
    this.#followsParent = FOLLOWS_PARENT.test(sampler.toString());
    this.#takesRoots = this.#followsParent && TAKES_ROOTS.test(sampler.toString());
    this.#limits = limits;
    this.#take = take;
    this.#begin = begin;
  }

  startSpan(name: string, options: SpanOptions = {}, from: Context = context.active()): Span {
    const own = options.root ? trace.deleteSpan(from) : from;
    const { kind = SpanKind.INTERNAL, startTime } = options;
    return this.#start(name, kind, own, startTime, () => options);
  }

  /** As `startSpan` (../span.ts), for spans that have much in common with others. */
  startSpanWith(
    name: string,
    kind: SpanKind,
    from: Context,
    attributesOf: () => StartAttributes,
  ): Span {
    return this.#start(name, kind, from, undefined, attributesOf);
  }

  /** @param given asked for only where the span is recorded, or the sampler has to know */
  #start(
    name: string,
    kind: SpanKind,
    from: Context,
    startTime: TimeInput | undefined,
    given: () => SpanOptions | StartAttributes,
  ): Span {
    if (isTracingSuppressed(from)) return trace.wrapSpanContext(INVALID_SPAN_CONTEXT);
    const parent = trace.getSpan(from);
    if (this.#followsParent) {
      if (parent instanceof RecordedSpan) {
        if ((parent.traceFlags & TraceFlags.SAMPLED) === 0) {
          return new UnrecordedSpan(parent.traceId, parent.traceState);
        }
        const span = new RecordedSpan(
          name,
          kind,
          parent.traceId,
          parent,
          TraceFlags.SAMPLED,
          parent.traceState,
          startTime,
          this.#limits,
          this.#take,
        );
        complete(span, given());
        this.#begin?.(span);
        return span;
      }
      if (parent instanceof UnrecordedSpan) return parent.child();
    }
    const known = parent?.spanContext();
    const above =
      known && (known instanceof RemoteParent || isSpanContextValid(known)) ? known : undefined;
    const id = above ? traceIdOf(above, parent) : TraceId.random();
    const asked = this.#ask(name, kind, given, from, above, id);
    const traceState = asked.traceState ?? above?.traceState;
    if (asked.decision === SamplingDecision.NOT_RECORD) return new UnrecordedSpan(id, traceState);
    const isSampled = asked.decision === SamplingDecision.RECORD_AND_SAMPLED;
    const span = new RecordedSpan(
      name,
      kind,
      id,
      above && parentIdOf(above),
      isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
      traceState,
      startTime,
      this.#limits,
      isSampled ? this.#take : ignore,
    );
    complete(span, given());
    if (asked.attributes) span.setAttributes(asked.attributes);
    if (isSampled) this.#begin?.(span);
    return span;
  }

  startActiveSpan<F extends (span: Span) => unknown>(name: string, fn: F): ReturnType<F>;
  startActiveSpan<F extends (span: Span) => unknown>(
    name: string,
    options: SpanOptions,
    fn: F,
  ): ReturnType<F>;
  startActiveSpan<F extends (span: Span) => unknown>(
    name: string,
    options: SpanOptions,
    from: Context,
    fn: F,
  ): ReturnType<F>;
  startActiveSpan<F extends (span: Span) => unknown>(
    name: string,
    ...rest: [F] | [SpanOptions, F] | [SpanOptions, Context, F]
  ): ReturnType<F> {
    const fn = rest.at(-1) as F;
    const options = rest.length > 1 ? (rest[0] as SpanOptions) : undefined;
    const from = rest.length > 2 ? (rest[1] as Context) : context.active();
    const span = this.startSpan(name, options, from);
    return context.with(trace.setSpan(from, span), () => fn(span) as ReturnType<F>);
  }

  #ask(
    name: string,
    kind: SpanKind,
    given: () => SpanOptions | StartAttributes,
    from: Context,
    parent: SpanContext | undefined,
    traceId: TraceId,
  ): ReturnType<Sampler["shouldSample"]> {
    if (!parent && this.#takesRoots) return SAMPLED;
    if (parent && this.#followsParent) {
      return parent.traceFlags & TraceFlags.SAMPLED ? SAMPLED : NOT_RECORDED;
    }
    const options = given();
    const attributes =
      "shared" in options ? { ...options.shared, ...options.own } : (options.attributes ?? {});
    const links = "links" in options ? (options.links ?? []) : [];
    return this.#sampler.shouldSample(from, traceId.text, name, kind, attributes, links);
  }
}

const SAMPLED = { decision: SamplingDecision.RECORD_AND_SAMPLED };
const NOT_RECORDED = { decision: SamplingDecision.NOT_RECORD };

const ignore = () => undefined;

function complete(span: RecordedSpan, given: SpanOptions | StartAttributes): void {
  if ("shared" in given) {
    span.setAttributes(given.shared);
    if (given.own) span.setAttributes(given.own);
  } else {
    if (given.links) span.addLinks(given.links);
    if (given.attributes) span.setAttributes(given.attributes);
  }
}

function traceIdOf(above: SpanContext, parent: Span | undefined): TraceId {
  if (above instanceof RemoteParent) return above.trace;
  return parent instanceof RecordedSpan ? parent.traceId : TraceId.of(above.traceId);
}

function parentIdOf(above: SpanContext): ParentId {
  if (above instanceof RemoteParent) return above;
  const { spanId, isRemote = false } = above;
  return { first: wordAt(spanId, 0), last: wordAt(spanId, 8), isRemote };
}
