/** Spans for steps inside a service, and the one way in which a span is marked as failed. */
import {
  context,
  ProxyTracerProvider,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Span,
  type SpanKind,
  type Tracer,
  type TracerProvider,
} from "@opentelemetry/api";
import { ATTR_ERROR_TYPE } from "./attributes.ts";
import { errorText, errorTypeOf } from "./error-text.ts";
import { callerLocation, rememberLine, speed } from "./optional.ts";
import { SCOPE_NAME, SCOPE_VERSION } from "./scope.ts";

let known: { provider: TracerProvider; tracer: Tracer } | undefined;

/**
 * The tracer of the layer, fetched again whenever another provider is set up: that may be before or
 * after a module is loaded.
 */
export function tracer(): Tracer {
  const proxy = trace.getTracerProvider();
  const provider = proxy instanceof ProxyTracerProvider ? proxy.getDelegate() : proxy;
  if (known?.provider !== provider) {
    known = { provider, tracer: provider.getTracer(SCOPE_NAME, SCOPE_VERSION) };
  }
  return known.tracer;
}

/** What a span starts with. */
export interface StartAttributes {
  /** What it has in common with many others: made once, and frozen. */
  readonly shared: Attributes;
  readonly own?: Attributes | undefined;
}

/**
 * Starts a span.
 * @param attributesOf what it starts with; not asked for where nobody records it, or by a sampler as well
 */
export function startSpan(
  name: string,
  kind: SpanKind,
  parent: Context,
  attributesOf: () => StartAttributes,
): Span {
  const own = tracer();
  if (speed?.SpeedyTracer && own instanceof speed.SpeedyTracer) {
    return own.startSpanWith(name, kind, parent, attributesOf);
  }
  const { shared, own: more } = attributesOf();
  return own.startSpan(name, { kind, attributes: { ...shared, ...more } }, parent);
}

/**
 * Runs one named step as an INTERNAL span, the child of the span that is active now.
 *
 * @param name low in cardinality: `resize image`, never an id
 * @param attributes what to know about the step
 * @param work gets the span; whatever it throws marks the span as failed and is thrown on
 */
export function inSpan<T>(
  name: string,
  attributes: Attributes,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const location = callerLocation();
  const parent = context.active();
  const span = tracer().startSpan(
    name,
    { attributes: location ? { ...attributes, ...location } : attributes },
    parent,
  );
  rememberLine(span, location);
  return runInSpan(span, parent, work);
}

/** Runs work while a span is active, and ends the span: as failed, where the work throws. */
export function runInSpan<T>(
  span: Span,
  parent: Context,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  return context.with(trace.setSpan(parent, span), endingWith<T>, undefined, span, work);
}

async function endingWith<T>(span: Span, work: (span: Span) => Promise<T>): Promise<T> {
  try {
    return await work(span);
  } catch (error) {
    failSpan(span, errorTypeOf(error), error);
    throw error;
  } finally {
    span.end();
  }
}

/**
 * Marks a span as failed: status ERROR, `error.type`, and a description that says what went wrong, where
 * there is something to say.
 *
 * @param errorType low in cardinality: an error's class, an HTTP status, an SQLSTATE
 * @param error the error, or a sentence about it; secrets are taken out and the length is bounded
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/general/recording-errors.md
 */
export function failSpan(span: Span, errorType: string, error?: unknown): void {
  span.setAttribute(ATTR_ERROR_TYPE, errorType);
  const message = error === undefined ? undefined : errorText(error);
  span.setStatus(
    message ? { code: SpanStatusCode.ERROR, message } : { code: SpanStatusCode.ERROR },
  );
}
