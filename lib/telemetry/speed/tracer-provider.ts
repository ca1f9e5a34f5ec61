/** A tracer provider of our own: its tracers make spans that are encoded when they end. */
import { diag, type Tracer, type TracerProvider } from "@opentelemetry/api";
import type { InstrumentationScope } from "@opentelemetry/core";
import {
  BasicTracerProvider,
  type Sampler,
  type SpanLimits,
  type TracerConfig,
} from "@opentelemetry/sdk-trace-base";
import type { RecordedSpan } from "./recorded-span.ts";
import { SpeedyTracer } from "./tracer.ts";

/** Tracers that are kept; whoever asks for more gets one that is made anew. */
const TRACERS_MAX = 1_000;

/** Where spans go when they have ended. */
export interface SpanSink {
  add(span: RecordedSpan, scope: InstrumentationScope): void;
  flush(): Promise<void>;
  shutdown(): Promise<void>;
  /** Gives up what is under way. */
  stop(): void;
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
      tracer = new SpeedyTracer(this.#settings.sampler, this.#settings.spanLimits, take);
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

  /** Gives up what is still under way, so that it does not keep the process alive. */
  stop(): void {
    this.#sink?.stop();
  }
}

export interface Settings {
  sampler: Sampler;
  spanLimits: Required<SpanLimits>;
}

/**
 * The sampler and the limits that the SDK's provider would have of a configuration and of OTEL_TRACES_SAMPLER
 * and OTEL_SPAN_*: it reads them and says what is wrong with them. It keeps them where nothing else looks.
 * @returns undefined with a version that keeps them elsewhere
 */
export function settingsOf(config: TracerConfig): Settings | undefined {
  const options: unknown = Reflect.get(new BasicTracerProvider(config), "_tracerOptions");
  if (isSettings(options)) return options;
  diag.warn("the SDK keeps its sampler elsewhere; its own tracer is used");
  return undefined;
}

function isSettings(options: unknown): options is Settings {
  const { sampler, spanLimits } = (options ?? {}) as Partial<Settings>;
  const isLimit = (name: keyof SpanLimits) => typeof spanLimits?.[name] === "number";
  return typeof sampler?.shouldSample === "function" && LIMITS.every(isLimit);
}

const LIMITS: readonly (keyof SpanLimits)[] = [
  "attributeValueLengthLimit",
  "attributeCountLimit",
  "eventCountLimit",
  "linkCountLimit",
  "attributePerEventCountLimit",
  "attributePerLinkCountLimit",
];
