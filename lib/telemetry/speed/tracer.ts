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
  type TraceState,
} from "@opentelemetry/api";
import { isTracingSuppressed } from "@opentelemetry/core";
import { SamplingDecision, type Sampler, type SpanLimits } from "@opentelemetry/sdk-trace-base";
import { randomWord, TraceId, wordAt, wordText } from "./ids.ts";
import { RecordedSpan, type ParentId, type TakeSpan } from "./recorded-span.ts";

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
    if (parent instanceof RecordedSpan && this.#followsParent)
      return this.#child(name, options, parent);
    const known = parent?.spanContext();
    const parentContext = known && isSpanContextValid(known) ? known : undefined;
    const traceId = parentContext ? traceIdOf(parent, parentContext) : TraceId.random();
    const asked = this.#ask(name, options, own, parentContext, traceId);
    const traceState = asked.traceState ?? parentContext?.traceState;
    const isSampled = asked.decision === SamplingDecision.RECORD_AND_SAMPLED;
    if (asked.decision === SamplingDecision.NOT_RECORD) return unrecorded(traceId, traceState);
    const span = new RecordedSpan(
      name,
      options.kind ?? SpanKind.INTERNAL,
      traceId,
      parentContext && parentIdOf(parentContext),
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
      return unrecorded(parent.traceId, parent.traceState);
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
    traceId: TraceId,
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

/** Passes context on and nothing else. */
function unrecorded(traceId: TraceId, traceState: TraceState | undefined): Span {
  return trace.wrapSpanContext({
    traceId: traceId.text,
    spanId: wordText(randomWord()) + wordText(randomWord() || 1),
    traceFlags: TraceFlags.NONE,
    ...(traceState && { traceState }),
  });
}

function traceIdOf(parent: Span | undefined, { traceId }: SpanContext): TraceId {
  return parent instanceof RecordedSpan ? parent.traceId : TraceId.of(traceId);
}

function parentIdOf({ spanId, isRemote = false }: SpanContext): ParentId {
  return { first: wordAt(spanId, 0), last: wordAt(spanId, 8), isRemote };
}
