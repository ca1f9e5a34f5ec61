/** Spans in memory, for tests of the layer: a provider, a context manager and propagators of a test's own. */
import { context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
  type Sampler,
} from "@opentelemetry/sdk-trace-base";
import { createPropagator } from "../propagation.ts";

export interface SpanRecording {
  /** The spans that have ended, in the order of their ends; one that ended twice stands twice. */
  spans(): ReadableSpan[];
  /** The one span of that name. @throws Error that names those there are */
  span(name: string): ReadableSpan;
  /** Puts back what was before: nothing. */
  stop(): void;
}

/**
 * Makes every span of this process go into memory, until `stop`. The globals of OpenTelemetry are
 * one for a process, so tests that record do so one after the other.
 */
export function recordSpans(sampler?: Sampler): SpanRecording {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    spanProcessors: [new SimpleSpanProcessor(exporter)],
    ...(sampler && { sampler }),
  });
  disable();
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(createPropagator().propagator);
  const spans = () => exporter.getFinishedSpans();
  return {
    spans,
    span(name) {
      const found = spans().filter((span) => span.name === name);
      const [span] = found;
      if (span && found.length === 1) return span;
      const names = spans().map((other) => other.name);
      throw new Error(`${found.length} spans "${name}" among: ${names.join(", ")}`);
    },
    stop: disable,
  };
}

/** What a test says about a span: kind and status in words. */
export function described(span: ReadableSpan) {
  return {
    name: span.name,
    kind: SpanKind[span.kind],
    status: SpanStatusCode[span.status.code],
    message: span.status.message,
    attributes: span.attributes,
  };
}

function disable(): void {
  trace.disable();
  context.disable();
  propagation.disable();
}
