/**
 * How many spans wait and for how long, and how much one may hold. Read here and not by the SDK, which
 * takes any number: a batch of 0 spans would never get done.
 * @see https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-span-processor
 */
import type { Env } from "./environment.ts";
import { positiveInt } from "./positive-int.ts";

/** Four times the specification's default: a burst of some thousand requests leaves whole traces. */
const SPAN_QUEUE_MAX = 8_192;
/** The queue is bounded in spans; this bounds the spans. The specification's default is no bound. */
const ATTRIBUTE_CHARACTERS_MAX = 4_096;

/** What OTEL_BSP_* ask for, under the batch processor's own names. */
export function batchLimits(env: Env) {
  const maxQueueSize = positiveInt(env, "OTEL_BSP_MAX_QUEUE_SIZE", SPAN_QUEUE_MAX);
  const maxExportBatchSize = positiveInt(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512);
  return {
    maxQueueSize,
    maxExportBatchSize: Math.min(maxExportBatchSize, maxQueueSize),
    scheduledDelayMillis: positiveInt(env, "OTEL_BSP_SCHEDULE_DELAY", 5_000),
    exportTimeoutMillis: positiveInt(env, "OTEL_BSP_EXPORT_TIMEOUT", 30_000),
  };
}

/** Characters of an attribute's text; longer ones are cut. */
export function attributeCharactersMax(env: Env): number {
  const forAll = positiveInt(env, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", ATTRIBUTE_CHARACTERS_MAX);
  return positiveInt(env, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", forAll);
}
