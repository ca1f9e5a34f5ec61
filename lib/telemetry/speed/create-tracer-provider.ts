/** Puts the provider together: the SDK's settings, our tracer, the queue and the sender. */
import type { TracerConfig } from "@opentelemetry/sdk-trace-base";
import { defaultResource } from "@opentelemetry/resources";
import { BlockSender } from "./block-sender.ts";
import { collectorSettings } from "./collector-settings.ts";
import { SpanQueue, type QueueLimits } from "./span-queue.ts";
import { settingsOf, SpeedyTracerProvider } from "./tracer-provider.ts";

type Env = Readonly<Record<string, string | undefined>>;

/**
 * The provider that takes the place of the SDK's.
 * @param config as for the SDK's own, without processors and ids
 * @param limits of the queue; undefined where spans are not exported
 * @returns undefined where the SDK's own is to be used
 */
export function createTracerProvider(
  config: Pick<TracerConfig, "resource" | "sampler" | "spanLimits">,
  env: Env,
  limits: QueueLimits | undefined,
): SpeedyTracerProvider | undefined {
  const settings = settingsOf(config);
  if (!settings) return undefined;
  if (!limits) return new SpeedyTracerProvider(settings, undefined);
  const sender = new BlockSender(collectorSettings(env));
  const queue = new SpanQueue(config.resource ?? defaultResource(), limits, sender.send);
  return new SpeedyTracerProvider(settings, {
    add: (span, scope) => queue.add(span, scope),
    flush() {
      sender.awaitAll();
      return queue.flush();
    },
    shutdown() {
      sender.awaitAll();
      return queue.shutdown();
    },
    stop: () => sender.stop(),
  });
}
