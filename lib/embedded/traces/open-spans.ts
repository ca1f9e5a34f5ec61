/**
 * Spans that have not ended, as the programs that have them tell again and again (see
 * lib/telemetry/learning/open-spans.ts). They stand beside the ring, which holds what has come by OTLP:
 * when a span has come there, it is open no more.
 */
import type { WireOpenState } from "../viewer/wire.ts";
import {
  isId,
  microsOf,
  type OtlpSpan,
  type OtlpTrace,
  type Resource,
  type ResourceSpans,
  spansOf,
  type SpanInContext,
} from "./otlp.ts";
import type { StoredTrace, TraceRing } from "./trace-ring.ts";

/** A program repeats itself every two seconds; one that has not for so long is dead, or hangs itself. */
const SILENT_AFTER_MS = 6_000;
/** A span that is not told any more has ended; so long it may take until it has come. */
const AWAITED_MS = 15_000;
/** So long a silent program's spans are kept: somebody may want to know what it was doing. */
const SILENT_KEPT_MS = 60 * 60_000;
const LOOK_EVERY_MS = 1_000;
const PROCESSES_MAX = 64;
const SPANS_PER_PROCESS_MAX = 500;
const BYTES_MAX = 16 * 1024 ** 2;
/** Traces of which is remembered when they changed. */
const CHANGES_MAX = 1_000;

interface OpenSpan {
  readonly context: SpanInContext;
  /** Milliseconds since 1970: until then it is known to have been under way. */
  untilMs: number;
  state: WireOpenState;
}

interface Process {
  readonly spans: Map<string, OpenSpan>;
  bytes: number;
  saidAtMs: number;
}

/** What programs have told of spans that are under way. */
export class OpenSpans {
  readonly #ring: TraceRing;
  readonly #now: () => number;
  /** The one that spoke last stands last. */
  readonly #processes = new Map<string, Process>();
  /** Versions of the ring at which open spans of a trace came or went, oldest first. */
  readonly #changes = new Map<string, number>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param now milliseconds since 1970 */
  constructor(ring: TraceRing, now: () => number = Date.now) {
    this.#ring = ring;
    this.#now = now;
  }

  /**
   * Takes what a program says of itself: all its spans that are open.
   * @param id tells it from others
   */
  say(id: string, request: OtlpTrace, bytes: number): void {
    const nowMs = this.#now();
    const known = this.#processes.get(id);
    const before = known?.spans ?? new Map<string, OpenSpan>();
    const spans = new Map<string, OpenSpan>();
    for (const context of spansOf(request)) {
      const { traceId, spanId } = context.span;
      if (spans.size >= SPANS_PER_PROCESS_MAX) break;
      if (!isId(traceId) || !isId(spanId) || traceId.length !== 32) continue;
      spans.set(spanId, { context, untilMs: nowMs, state: "running" });
      if (before.get(spanId)?.state !== "running") this.#changed(traceId);
    }
    for (const [spanId, span] of before) {
      const { traceId } = span.context.span;
      if (spans.has(spanId) || this.#ring.hasSpan(traceId, spanId)) continue;
      if (span.state !== "ending") {
        span.state = "ending";
        span.untilMs = nowMs;
        this.#changed(traceId);
      }
      if (nowMs - span.untilMs < AWAITED_MS) spans.set(spanId, span);
    }
    this.#processes.delete(id);
    if (spans.size > 0) this.#processes.set(id, { spans, bytes, saidAtMs: nowMs });
    this.#boundAll();
    if (this.#processes.size > 0) this.#timer ??= setInterval(() => this.look(), LOOK_EVERY_MS);
  }

  /** Looks who has fallen silent, and forgets what is over; goes on by itself while there is anything. */
  look(): void {
    const nowMs = this.#now();
    for (const [id, { spans, saidAtMs }] of this.#processes) {
      const silentMs = nowMs - saidAtMs;
      for (const [spanId, span] of spans) {
        const { traceId } = span.context.span;
        if (span.state === "running" && silentMs > SILENT_AFTER_MS) {
          span.state = "silent";
          this.#changed(traceId);
        }
        const isLost = span.state === "ending" && nowMs - span.untilMs > AWAITED_MS;
        const isOver = this.#ring.hasSpan(traceId, spanId) || silentMs > SILENT_KEPT_MS;
        if (!isLost && !isOver) continue;
        spans.delete(spanId);
        this.#changed(traceId);
      }
      if (spans.size === 0) this.#processes.delete(id);
    }
    if (this.#processes.size === 0) this.stop();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** @returns the traces that have open spans, each as {@link withOpen} has it */
  traces(): StoredTrace[] {
    const ids = new Set([...this.#all()].map(({ context }) => context.span.traceId));
    return [...ids].flatMap((id) => this.withOpen(id) ?? []);
  }

  /** @returns a trace with what is open of it; that may be all that there is. Undefined where it never came */
  withOpen(traceId: string): StoredTrace | undefined {
    const ended = this.#ring.get(traceId);
    const open = [...this.#all()].filter(({ context }) => context.span.traceId === traceId);
    if (open.length === 0) return ended;
    const resourceSpans = [...(ended?.resourceSpans ?? [])];
    for (const one of open) resourceSpans.push(placed(this.#untilNow(one), one, resourceSpans));
    const starts = open.map(({ context }) => microsOf(context.span.startTimeUnixNano));
    const ends = open.map((one) => microsOf(this.#untilNow(one).endTimeUnixNano));
    return {
      traceId,
      resourceSpans,
      spanCount: (ended?.spanCount ?? 0) + open.length,
      startTimeUs: Math.min(ended?.startTimeUs ?? Number.POSITIVE_INFINITY, ...starts),
      endTimeUs: Math.max(ended?.endTimeUs ?? 0, ...ends),
      ordinal: ended?.ordinal ?? Number.MAX_SAFE_INTEGER,
      version: this.#ring.version,
    };
  }

  /** @returns how a trace's open spans are, by their ids */
  statesOf(traceId: string): Map<string, WireOpenState> {
    const states = new Map<string, WireOpenState>();
    for (const { context, state } of this.#all()) {
      if (context.span.traceId === traceId) states.set(context.span.spanId, state);
    }
    return states;
  }

  /** @returns traces whose open spans have changed since a version of the ring */
  changedSince(version: number): string[] {
    return [...this.#changes].filter(([, at]) => at > version).map(([traceId]) => traceId);
  }

  /** Those that have not come meanwhile. */
  *#all(): Generator<OpenSpan> {
    for (const { spans } of this.#processes.values()) {
      for (const [spanId, span] of spans) {
        if (!this.#ring.hasSpan(span.context.span.traceId, spanId)) yield span;
      }
    }
  }

  /** A span with an end: now, or when it was last heard of. */
  #untilNow({ context, state, untilMs }: OpenSpan): OtlpSpan {
    const endMs = state === "running" ? this.#now() : untilMs;
    return { ...context.span, endTimeUnixNano: String(BigInt(Math.round(endMs)) * 1_000_000n) };
  }

  #changed(traceId: string): void {
    this.#ring.touch(traceId);
    this.#changes.delete(traceId);
    this.#changes.set(traceId, this.#ring.version);
    const [oldest] = this.#changes.keys();
    if (this.#changes.size > CHANGES_MAX && oldest !== undefined) this.#changes.delete(oldest);
  }

  #boundAll(): void {
    let bytes = [...this.#processes.values()].reduce((sum, process) => sum + process.bytes, 0);
    for (const [id, process] of this.#processes) {
      if (this.#processes.size <= PROCESSES_MAX && bytes <= BYTES_MAX) return;
      this.#processes.delete(id);
      bytes -= process.bytes;
    }
  }
}

/** The span below its process, which is the same object where spans of it have come. */
function placed(
  span: OtlpSpan,
  { context }: OpenSpan,
  beside: readonly ResourceSpans[],
): ResourceSpans {
  const text = JSON.stringify(context.resource);
  const same = beside.find(({ resource }) => JSON.stringify(resource) === text);
  const resource: Resource = same?.resource ?? context.resource;
  return { resource, scopeSpans: [{ scope: context.scope, spans: [span] }] };
}
