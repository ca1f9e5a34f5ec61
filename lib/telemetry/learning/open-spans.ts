/**
 * Spans that are still under way, told to a trace store beside the program, so that a request which hangs
 * is seen while it hangs. OTLP knows ended spans only: they go to a path of their own, which the store of
 * `bun run viewer` has, and a collector has not.
 *
 * Told is, again and again, all that is open, and not what has changed: whoever missed some of it is right
 * again with the next, and a process that has been killed is one that is silent.
 */
import { diag, TraceFlags } from "@opentelemetry/api";
import { JsonTraceSerializer } from "@opentelemetry/otlp-transformer";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import type { OpenSpans } from "../optional-folders.ts";
import { proxyFor } from "../setup/collector-agent.ts";
import { endpointOf } from "../setup/endpoint.ts";
import type { Env } from "../setup/environment.ts";

/** Where the store takes them, at the root of the endpoint for traces. */
const PATH = "/api/open-spans";
/** A span that is open for so long is told; most have ended by then, and cost nothing but a look. */
const OPEN_FROM_MS = 250;
/** How often that is looked at. */
const LOOK_EVERY_MS = 250;
/** What has not changed is told again after this time. */
const REPEAT_AFTER_MS = 2_000;
const TELL_TIMEOUT_MS = 2_000;
/** Spans that are looked after at a time; the others are seen when they end. */
const OPEN_MAX = 10_000;
/** Of these the oldest are told. */
const TOLD_MAX = 500;
/** After a store that could not be reached. */
const RETRY_AFTER_MS = 5_000;

interface OpenSpan {
  readonly span: { readonly ended: boolean };
  readonly read: () => ReadableSpan;
  readonly sinceMs: number;
}

/**
 * Whom to tell of spans when they start.
 * @param env ORDERFLOW_OPEN_SPANS=on asks for it; usually process.env
 * @param ending when it aborts, nothing is told any more
 * @returns undefined where nobody asks for it
 */
export function openSpans(env: Env, ending: AbortSignal): OpenSpans | undefined {
  if (env["ORDERFLOW_OPEN_SPANS"] !== "on") return undefined;
  const url = new URL(PATH, endpointOf(env, "TRACES"));
  url.searchParams.set("process", crypto.randomUUID());
  return new OpenSpanTeller(url, proxyFor(url, env) ?? false, ending);
}

class OpenSpanTeller implements OpenSpans {
  /** In the order of their starts. */
  readonly #open = new Set<OpenSpan>();
  readonly #url: URL;
  readonly #proxy: string | false;
  readonly #ending: AbortSignal;
  /** The ids that were told last. */
  #told = "";
  #toldMs = 0;
  #isLooking = false;
  /** At the end of the process, and where there is no such store: that is asked once. */
  #isOver = false;

  constructor(url: URL, proxy: string | false, ending: AbortSignal) {
    this.#url = url;
    this.#proxy = proxy;
    this.#ending = ending;
    ending.addEventListener("abort", () => this.#stop(), { once: true });
  }

  begin(span: { readonly ended: boolean }, read: () => ReadableSpan): void {
    if (this.#isOver || this.#open.size >= OPEN_MAX) return;
    this.#open.add({ span, read, sinceMs: performance.now() });
    this.#lookIn(LOOK_EVERY_MS);
  }

  onStart(span: ReadableSpan): void {
    if (span.spanContext().traceFlags & TraceFlags.SAMPLED) this.begin(span, () => span);
  }

  onEnd(): void {}

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {}

  #lookIn(ms: number): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    setTimeout(() => void this.#look(), ms).unref();
  }

  async #look(): Promise<void> {
    const spans = this.#openOnes();
    const ids = spans.map((span) => span.spanContext().spanId).join();
    const nowMs = performance.now();
    let waitMs = LOOK_EVERY_MS;
    if (ids !== this.#told || (ids !== "" && nowMs - this.#toldMs >= REPEAT_AFTER_MS)) {
      if (await this.#tell(spans)) {
        this.#told = ids;
        this.#toldMs = nowMs;
      } else {
        waitMs = RETRY_AFTER_MS;
      }
    }
    this.#isLooking = false;
    if (!this.#isOver && (this.#open.size > 0 || this.#told !== "")) this.#lookIn(waitMs);
  }

  #stop(): void {
    this.#isOver = true;
    this.#open.clear();
  }

  /** Forgets those that have ended. @returns the oldest of those that are open for long enough */
  #openOnes(): ReadableSpan[] {
    const untilMs = performance.now() - OPEN_FROM_MS;
    const spans: ReadableSpan[] = [];
    for (const open of this.#open) {
      if (open.span.ended) this.#open.delete(open);
      else if (open.sinceMs <= untilMs && spans.length < TOLD_MAX) spans.push(open.read());
    }
    return spans;
  }

  /** @returns whether the store has it; where there is no store, never again */
  async #tell(spans: ReadableSpan[]): Promise<boolean> {
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JsonTraceSerializer.serializeRequest(spans) as Uint8Array<ArrayBuffer>,
        signal: AbortSignal.any([this.#ending, AbortSignal.timeout(TELL_TIMEOUT_MS)]),
        proxy: this.#proxy,
        redirect: "manual",
      } as RequestInit);
      await response.body?.cancel();
      if (response.ok) return true;
      if (response.status === 404 || response.status === 405) {
        this.#stop();
        diag.warn("ORDERFLOW_OPEN_SPANS: the collector does not take open spans; none are told");
      }
    } catch (error) {
      diag.debug("open spans could not be told", error);
    }
    return false;
  }
}
