/** A tracer provider of our own: its tracers make spans that are encoded when they end. */
import type { Tracer, TracerProvider } from "@opentelemetry/api";
import type { InstrumentationScope } from "@opentelemetry/core";
import type { Sampler, SpanLimits } from "@opentelemetry/sdk-trace-base";
import type { RecordedSpan } from "./recorded-span.ts";
import { SpeedyTracer } from "./tracer.ts";

/** Tracers that are kept; whoever asks for more gets one that is made anew. */
const TRACERS_MAX = 1_000;

/** Where spans go when they have ended. */
export interface SpanSink {
  /** Told of each span when it starts, where somebody wants to know. */
  begin?(span: RecordedSpan, scope: InstrumentationScope): void;
  add(span: RecordedSpan, scope: InstrumentationScope): void;
  flush(): Promise<void>;
  shutdown(): Promise<void>;
}

export class SpeedyTracerProvider implements TracerProvider {
  readonly #tracers = new Map<string, SpeedyTracer>();
  readonly #settings: Settings;
  readonly #sink: SpanSink | undefined;

  /** @param sink undefined where nothing is exported */
  constructor(settings: Settings, sink: SpanSink | undefined) {
    this.#settings = settings;
    this.#sink = sink;
  }

  getTracer(name: string, version?: string, options?: { schemaUrl?: string }): Tracer {
    const schemaUrl = options?.schemaUrl;
    const key = `${name}@${version ?? ""}:${schemaUrl ?? ""}`;
    let tracer = this.#tracers.get(key);
    if (!tracer) {
      const scope = { name, ...(version && { version }), ...(schemaUrl && { schemaUrl }) };
      const sink = this.#sink;
      const take = sink ? (span: RecordedSpan) => sink.add(span, scope) : () => undefined;
      const begin = sink?.begin && ((span: RecordedSpan) => sink.begin?.(span, scope));
      tracer = new SpeedyTracer(this.#settings.sampler, this.#settings.spanLimits, take, begin);
      if (this.#tracers.size < TRACERS_MAX) this.#tracers.set(key, tracer);
    }
    return tracer;
  }

  /** Sends what is there. */
  async forceFlush(): Promise<void> {
    await this.#sink?.flush();
  }

  /** Sends what is there and records nothing more. */
  async shutdown(): Promise<void> {
    await this.#sink?.shutdown();
  }
}

/** Who is sampled, and how much a span may hold. */
export interface Settings {
  sampler: Sampler;
  spanLimits: Required<SpanLimits>;
}
