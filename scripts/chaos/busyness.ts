/** How busy the machine was: a starved one answers late, and that is then no fault of the services. */
import { availableParallelism, loadavg } from "node:os";

const TICK_MS = 100;

export interface Busyness {
  /** @returns one line, and stops watching */
  end(): string;
}

/** Watches from now on: the load, and how late this process's own timer comes. */
export function watchBusyness(): Busyness {
  let lastMs = performance.now();
  let latestMs = 0;
  let loadMax = 0;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    latestMs = Math.max(latestMs, nowMs - lastMs - TICK_MS);
    lastMs = nowMs;
    loadMax = Math.max(loadMax, loadavg()[0] ?? 0);
  }, TICK_MS);
  return {
    end() {
      clearInterval(timer);
      return (
        `machine: load average up to ${loadMax.toFixed(1)} on ${availableParallelism()} CPUs, ` +
        `this test's own timer up to ${latestMs.toFixed(0)} ms late`
      );
    },
  };
}
