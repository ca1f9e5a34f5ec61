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
  type Tracer,
} from "@opentelemetry/api";
import { isTracingSuppressed } from "@opentelemetry/core";
import { SamplingDecision, type Sampler, type SpanLimits } from "@opentelemetry/sdk-trace-base";
import { TraceId, wordAt } from "./ids.ts";
import { RecordedSpan, type ParentId, type TakeSpan } from "./recorded-span.ts";
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

  /** @param take gets each span that is sampled when it has ended */
  constructor(sampler: Sampler, limits: Required<SpanLimits>, take: TakeSpan) {
    this.#sampler = sampler;
    this.#followsParent = FOLLOWS_PARENT.test(sampler.toString());
    this.#takesRoots = this.#followsParent && TAKES_ROOTS.test(sampler.toString());
    this.#limits = limits;
    this.#take = take;
  }

  startSpan(name: string, options: SpanOptions = {}, from: Context = context.active()): Span {
    if (isTracingSuppressed(from)) return trace.wrapSpanContext(INVALID_SPAN_CONTEXT);
    const own = options.root ? trace.deleteSpan(from) : from;
    const parent = trace.getSpan(own);
    if (this.#followsParent) {
      if (parent instanceof RecordedSpan) return this.#child(name, options, parent);
      if (parent instanceof UnrecordedSpan) return parent.child();
    }
    const known = parent?.spanContext();
    const above = known && isSpanContextValid(known) ? known : undefined;
    const fresh = above ? undefined : TraceId.random();
    const id = fresh ?? { text: above?.traceId ?? "" };
    const asked = this.#ask(name, options, own, above, id);
    const traceState = asked.traceState ?? above?.traceState;
    if (asked.decision === SamplingDecision.NOT_RECORD) return new UnrecordedSpan(id, traceState);
    const isSampled = asked.decision === SamplingDecision.RECORD_AND_SAMPLED;
    const span = new RecordedSpan(
      name,
      options.kind ?? SpanKind.INTERNAL,
      fresh ?? (parent instanceof RecordedSpan ? parent.traceId : TraceId.of(id.text)),
      above && parentIdOf(above),
      isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
      traceState,
      options.startTime,
      this.#limits,
      isSampled ? this.#take : ignore,
    );
    complete(span, options);
    if (asked.attributes) span.setAttributes(asked.attributes);
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

  #child(name: string, options: SpanOptions, parent: RecordedSpan): Span {
    if ((parent.traceFlags & TraceFlags.SAMPLED) === 0) {
      return new UnrecordedSpan(parent.traceId, parent.traceState);
    }
    const span = new RecordedSpan(
      name,
      options.kind ?? SpanKind.INTERNAL,
      parent.traceId,
      parent,
      TraceFlags.SAMPLED,
      parent.traceState,
      options.startTime,
      this.#limits,
      this.#take,
    );
    complete(span, options);
    return span;
  }

  #ask(
    name: string,
    { kind = SpanKind.INTERNAL, attributes = {}, links = [] }: SpanOptions,
    from: Context,
    parent: SpanContext | undefined,
    traceId: { readonly text: string },
  ): ReturnType<Sampler["shouldSample"]> {
    if (!parent && this.#takesRoots) return SAMPLED;
    if (parent && this.#followsParent) {
      return parent.traceFlags & TraceFlags.SAMPLED ? SAMPLED : NOT_RECORDED;
    }
    return this.#sampler.shouldSample(from, traceId.text, name, kind, attributes, links);
  }
}

const SAMPLED = { decision: SamplingDecision.RECORD_AND_SAMPLED };
const NOT_RECORDED = { decision: SamplingDecision.NOT_RECORD };

const ignore = () => undefined;

function complete(span: RecordedSpan, { attributes, links }: SpanOptions): void {
  if (links) span.addLinks(links);
  if (attributes) span.setAttributes(attributes);
}

function parentIdOf({ spanId, isRemote = false }: SpanContext): ParentId {
  return { first: wordAt(spanId, 0), last: wordAt(spanId, 8), isRemote };
}
