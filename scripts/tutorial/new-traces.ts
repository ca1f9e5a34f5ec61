/** Watches for traces: what has come since the last look, drawn when no more comes for a moment. */
import { type OtlpTrace, spansOf } from "#lib/embedded/traces/otlp.ts";
import { sleep } from "#lib/waiting/waiting.ts";
import type { System } from "./system/index.ts";

const LOOK_INTERVAL_MS = 100;
const QUIET_MS = 500;
/** Where spans never stop coming, they are shown all the same. */
const LATEST_MS = 3_000;
const SHOWN_MAX = 10;
/** Then the system begins anew with none: the viewer has them. */
const SPANS_MAX = 10_000;

/** Which traces of a system have been shown, and how many spans they had then. */
export class NewTraces {
  readonly #system: System;
  readonly #shown = new Map<string, number>();
  #spans = 0;

  constructor(system: System) {
    this.#system = system;
  }

  /** @returns traces that were not there at the last call, or have more spans now, by their starts */
  take(): readonly { readonly traceId: string; readonly trace: OtlpTrace }[] {
    const traces = this.#system.traces().map((trace) => {
      const spans = spansOf(trace);
      return { traceId: spans[0]?.span.traceId ?? "", trace, count: spans.length };
    });
    this.#spans = traces.reduce((sum, { count }) => sum + count, 0);
    const news = traces.filter(({ traceId, count }) => this.#shown.get(traceId) !== count);
    for (const { traceId, count } of news) this.#shown.set(traceId, count);
    return news;
  }

  /**
   * Shows new traces as they come, the first ten of many.
   * @throws the signal's reason, which is the only end of it
   */
  async showUntil(
    signal: AbortSignal,
    show: (traceId: string, trace: OtlpTrace) => void,
    say: (text: string) => void,
  ): Promise<never> {
    for (;;) {
      await this.#somethingCame(signal);
      const news = this.take();
      for (const { traceId, trace } of news.slice(0, SHOWN_MAX)) show(traceId, trace);
      if (news.length > SHOWN_MAX) say(`and ${news.length - SHOWN_MAX} more traces`);
      if (this.#spans > SPANS_MAX) {
        await this.#system.forget();
        this.#shown.clear();
        this.#spans = 0;
      }
    }
  }

  async #somethingCame(signal: AbortSignal): Promise<void> {
    let count = this.#spans;
    let firstMs: number | undefined;
    let lastMs = 0;
    for (;;) {
      await sleep(LOOK_INTERVAL_MS, signal);
      const nowMs = performance.now();
      const countNow = this.#system.spans().length;
      if (countNow !== count) {
        count = countNow;
        firstMs ??= nowMs;
        lastMs = nowMs;
      }
      if (firstMs === undefined) continue;
      if (nowMs - lastMs >= QUIET_MS || nowMs - firstMs >= LATEST_MS) return;
    }
  }
}
