/** A span that is not sampled: it passes context on and does nothing else. */
import { TraceFlags, type Span, type SpanContext, type TraceState } from "@opentelemetry/api";
import { randomWord, wordText } from "./ids.ts";

export class UnrecordedSpan implements Span {
  readonly #trace: { readonly text: string };
  readonly #traceState: TraceState | undefined;
  #context: SpanContext | undefined = undefined;

  /** @param trace whose text is asked for only where the context is passed on */
  constructor(trace: { readonly text: string }, traceState: TraceState | undefined) {
    this.#trace = trace;
    this.#traceState = traceState;
  }

  /** A span below this one. */
  child(): UnrecordedSpan {
    return new UnrecordedSpan(this.#trace, this.#traceState);
  }

  spanContext(): SpanContext {
    return (this.#context ??= {
      traceId: this.#trace.text,
      spanId: wordText(randomWord()) + wordText(randomWord() || 1),
      traceFlags: TraceFlags.NONE,
      ...(this.#traceState && { traceState: this.#traceState }),
    });
  }

  isRecording(): boolean {
    return false;
  }

  setAttribute(): this {
    return this;
  }

  setAttributes(): this {
    return this;
  }

  addEvent(): this {
    return this;
  }

  addLink(): this {
    return this;
  }

  addLinks(): this {
    return this;
  }

  setStatus(): this {
    return this;
  }

  updateName(): this {
    return this;
  }

  recordException(): void {}

  end(): void {}
}
