/** What the queue counts, under the names and with the attributes of the SDK's batch processor. */
import type { Counter, MeterProvider, ObservableResult } from "@opentelemetry/api";
import { ATTR_ERROR_TYPE } from "../attributes.ts";
import type { Outcome } from "./span-queue.ts";

const COMPONENT = "batching_span_processor";

let queues = 0;

/** @see https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/otel/sdk-metrics.md */
export class QueueMetrics {
  readonly #processed: Counter;
  readonly #own = {
    "otel.component.type": COMPONENT,
    "otel.component.name": `${COMPONENT}/${queues++}`,
  };
  readonly stop: () => void;

  /**
   * @param capacity how many spans may wait
   * @param size how many do, now
   */
  constructor(provider: MeterProvider, capacity: number, size: () => number) {
    const meter = provider.getMeter("@opentelemetry/sdk-trace");
    this.#processed = meter.createCounter("otel.sdk.processor.span.processed", {
      unit: "{span}",
      description:
        "The number of spans for which the processing has finished, either successful or failed.",
    });
    meter
      .createUpDownCounter("otel.sdk.processor.span.queue.capacity", {
        unit: "{span}",
        description:
          "The maximum number of spans the queue of a given instance of an SDK span processor can hold.",
      })
      .add(capacity, this.#own);
    const queueSize = meter.createObservableUpDownCounter("otel.sdk.processor.span.queue.size", {
      unit: "{span}",
      description: "The number of spans in the queue of a given instance of an SDK span processor.",
    });
    const observe = (result: ObservableResult) => result.observe(size(), this.#own);
    queueSize.addCallback(observe);
    this.stop = () => queueSize.removeCallback(observe);
  }

  drop(spans: number, errorType: string): void {
    this.#count(spans, errorType);
  }

  finish(spans: number, { errorType, rejected = spans }: Outcome): void {
    if (errorType === undefined) return this.#count(spans);
    const lost = Math.min(spans, rejected);
    this.#count(lost, errorType);
    if (lost < spans) this.#count(spans - lost);
  }

  #count(spans: number, errorType?: string): void {
    this.#processed.add(
      spans,
      errorType ? { ...this.#own, [ATTR_ERROR_TYPE]: errorType } : this.#own,
    );
  }
}
