/** What the folders give that may be deleted: their types stay, so that all else still compiles. */
import type {
  Attributes,
  Context,
  ContextManager,
  MeterProvider,
  Span,
  SpanContext,
  SpanKind,
  Tracer,
  TracerProvider,
} from "@opentelemetry/api";
import type { Resource } from "@opentelemetry/resources";
import type {
  ReadableSpan,
  Sampler,
  SpanLimits,
  SpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import type { Env } from "./setup/environment.ts";
import type { StartAttributes } from "./span.ts";

/** Of `speed/`. */
export interface Speed {
  createTracerProvider(
    tracing: { resource: Resource; sampler: Sampler; spanLimits: Required<SpanLimits> },
    env: Env,
    limits: QueueLimits | undefined,
    ending: AbortSignal,
    open: OpenSpans | undefined,
  ): TracerProvider & { shutdown(): Promise<void> };
  readonly EMPTY_CONTEXT: Context;
  readonly LinkedContextManager: new () => ContextManager;
  readonly SpeedyTracer: abstract new (...parts: never[]) => Tracer & {
    startSpanWith(
      name: string,
      kind: SpanKind,
      parent: Context,
      attributesOf: () => StartAttributes,
    ): Span;
  };
  fixed(attributes: Attributes): Attributes;
  fixedSets<Parts extends readonly unknown[]>(
    make: (...parts: Parts) => Attributes,
  ): (key: string, ...parts: Parts) => Attributes;
  parseTraceparent(text: string): SpanContext | undefined;
}

/** As the SDK's batch processor takes them. */
export interface QueueLimits {
  maxQueueSize: number;
  maxExportBatchSize: number;
  scheduledDelayMillis: number;
  exportTimeoutMillis: number;
  selfObsMeterProvider: MeterProvider;
}

/** Of `learning/`. */
export interface Learning {
  callerLocation(): Attributes | undefined;
  codeLocationEnabled(): boolean;
  preferCallersIn(prefixes: readonly string[]): void;
  rememberLine(span: Span, line: Attributes | undefined): void;
  openSpans(env: Env, ending: AbortSignal): OpenSpans | undefined;
  showInjected(from: Context, headers: Readonly<Record<string, string>>): void;
  lineOfRoute(route: object | undefined): Attributes | undefined;
  locationOfKey(known: Attributes, key: string): Attributes;
  rememberRoutes<Self extends object>(
    prototype: Self,
    method: string,
    read: (self: Self, args: readonly unknown[]) => Registration,
  ): void;
}

/**
 * The spans of this process that have not ended; see `openSpans` (learning/open-spans.ts). To the SDK's
 * provider it is a processor.
 */
export interface OpenSpans extends SpanProcessor {
  /**
   * Takes a span that is sampled when it starts.
   * @param read called while it has not ended, each time that it is told
   */
  begin(span: { readonly ended: boolean }, read: () => ReadableSpan): void;
}

/** One registration of a route, as a framework's method was told it. */
export interface Registration {
  /** What the framework made of it; the line is asked for by this. */
  route: object | undefined;
  handler: unknown;
  path: string;
}
