/** Puts the provider together: our tracer, the queue and the sender. */
import type { Resource } from "@opentelemetry/resources";
import type { OpenSpans, QueueLimits } from "../optional-folders.ts";
import { BlockSender } from "./block-sender.ts";
import { collectorSettings } from "./collector-settings.ts";
import { readable } from "./readable-span.ts";
import { SpanQueue } from "./span-queue.ts";
import { SpeedyTracerProvider, type Settings } from "./tracer-provider.ts";

type Env = Readonly<Record<string, string | undefined>>;

/**
 * The provider that takes the place of the SDK's.
 * @param tracing as for the SDK's own
 * @param limits of the queue; undefined where spans are not exported
 * @param ending aborts when nothing is to be waited for any more
 * @param open told of each span that starts
 */
export function createTracerProvider(
  tracing: Settings & { resource: Resource },
  env: Env,
  limits: QueueLimits | undefined,
  ending: AbortSignal,
  open: OpenSpans | undefined,
): SpeedyTracerProvider {
  if (!limits) return new SpeedyTracerProvider(tracing, undefined);
  const sender = new BlockSender(collectorSettings(env));
  ending.addEventListener("abort", () => sender.stop(), { once: true });
  const queue = new SpanQueue(tracing.resource, limits, sender.send);
  const { resource } = tracing;
  return new SpeedyTracerProvider(tracing, {
    ...(open && {
      begin: (span, scope) => open.begin(span, () => readable(span, scope, resource)),
    }),
    add: (span, scope) => queue.add(span, scope),
    flush() {
      sender.awaitAll();
      return queue.flush();
    },
    shutdown() {
      sender.awaitAll();
      return queue.shutdown();
    },
  });
}
