/**
 * What the process itself costs: CPU, memory, event-loop delay.
 *
 * The conventions name `process.*`; what they have for Node.js or V8 alone is named under
 * `orderflow.runtime.` here, because Bun runs on another engine.
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/system/process-metrics.md
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { ATTR_CPU_MODE } from "../attributes.ts";
import { gauge, observe } from "./instruments.ts";

const DELAY_WINDOW_MS = 60_000;

let isRegistered = false;

/** Registers the instruments, before the meter provider is bound. Safe to call again. */
export function registerRuntimeMetrics(): void {
  if (isRegistered) return;
  isRegistered = true;
  observe("createObservableCounter", "process.cpu.time", "Total CPU seconds by mode.", "s", () => {
    const { user, system } = process.cpuUsage();
    return [
      [user / 1e6, { [ATTR_CPU_MODE]: "user" }],
      [system / 1e6, { [ATTR_CPU_MODE]: "system" }],
    ];
  });
  observe(
    "createObservableUpDownCounter",
    "process.memory.usage",
    "The amount of physical memory in use.",
    "By",
    () => [[process.memoryUsage.rss(), {}]],
  );
  gauge("process.uptime", "The time the process has been running.", "s", () => process.uptime());

  // Not by bun:jsc's heapStats: it counts every object, and stops the process for that long.
  gauge("orderflow.runtime.heap.used", "Live bytes on the JavaScript heap.", "By", () => {
    return process.memoryUsage().heapUsed;
  });

  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  // Percentiles of the last minute at most; since the start, one stall would show for ever.
  setInterval(() => delay.reset(), DELAY_WINDOW_MS).unref();
  gauge("orderflow.runtime.eventloop.delay.p50", "Median event-loop delay.", "s", () => {
    return delay.percentile(50) / 1e9;
  });
  gauge("orderflow.runtime.eventloop.delay.p99", "99th percentile event-loop delay.", "s", () => {
    return delay.percentile(99) / 1e9;
  });
}
