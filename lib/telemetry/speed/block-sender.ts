/**
 * Sends spans to a collector: OTLP over HTTP by the runtime's own fetch, tried again as the protocol
 * says. All tries of a request, the waits between them and the whole answer share one time limit.
 * @see https://opentelemetry.io/docs/specs/otlp/#otlphttp
 */
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { diag } from "@opentelemetry/api";
import type { CollectorSettings } from "./collector-settings.ts";
import { partialSuccessIn } from "./partial-success.ts";
import type { Outcome } from "./span-queue.ts";
import { SCOPE_NAME, SCOPE_VERSION } from "../scope.ts";

const RETRYABLE = new Set([429, 502, 503, 504]);
const TRIES_MAX = 6;
/** The waits between tries, in milliseconds. */
export interface Backoff {
  /** Before the second try; each one after that is longer, */
  readonly firstMs: number;
  /** by this factor, */
  readonly factor: number;
  /** up to this one. */
  readonly maxMs: number;
  /** Each is longer or shorter by up to this part of it, by chance. */
  readonly jitter: number;
}

const BACKOFF: Backoff = { firstMs: 1_000, factor: 1.5, maxMs: 5_000, jitter: 0.2 };
/** A longer answer is not read to its end. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
/** The longest time that a timer can wait. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** How one try went; without an `errorType` the collector has taken the request. */
interface Try extends Outcome {
  /** What to say where it is the last one. */
  message?: string;
  isRetryable?: boolean;
  /** What Retry-After asks for. */
  waitMs?: number | undefined;
}

export class BlockSender {
  readonly #settings: CollectorSettings;
  readonly #backoff: Backoff;
  /** One for each request that is under way. */
  readonly #underWay = new Set<AbortController>();
  #wait: { timer: Timer; end: () => void } | undefined;
  /** Whether somebody waits for what is under way: only then does a wait keep the process alive. */
  #isAwaited = false;
  #isStopped = false;

  /** @param backoff the waits between tries; by default about one second, then up to five */
  constructor(settings: CollectorSettings, backoff: Backoff = BACKOFF) {
    this.#settings = settings;
    this.#backoff = backoff;
  }

  /**
   * Sends the body of an ExportTraceServiceRequest.
   * @param bodies to be sent one after the other, as one
   * @param timeoutMs the caller's own limit; that of the settings holds as well
   * @returns how it went; it never rejects
   */
  readonly send = async (bodies: readonly Uint8Array[], timeoutMs: number): Promise<Outcome> => {
    if (this.#isStopped) return { errorType: "stopped" };
    const limitMs = Math.min(timeoutMs, this.#settings.timeoutMs, TIMER_MS_MAX);
    const untilMs = performance.now() + limitMs;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), limitMs);
    timer.unref();
    this.#underWay.add(late);
    try {
      const last = await this.#sendInTime(await this.#bodyOf(bodies), untilMs, late.signal);
      if (last.message) diag.warn(last.message);
      return last;
    } catch (error) {
      diag.warn("spans could not be sent", error);
      return { errorType: error instanceof Error ? error.name : "_OTHER" };
    } finally {
      clearTimeout(timer);
      this.#underWay.delete(late);
    }
  };

  /** From now on a wait for the next try keeps the process alive, as somebody waits for its end. */
  awaitAll(): void {
    this.#isAwaited = true;
    this.#wait?.timer.ref();
  }

  /** Gives up what is under way, and from now on all that comes. */
  stop(): void {
    this.#isStopped = true;
    for (const request of this.#underWay) request.abort();
    this.#wait?.end();
  }

  async #sendInTime(body: Uint8Array, untilMs: number, signal: AbortSignal): Promise<Try> {
    const { factor, maxMs, jitter } = this.#backoff;
    let backoffMs = this.#backoff.firstMs;
    for (let count = 1; ; count++) {
      const last = await this.#try(body, signal);
      if (!last.isRetryable || count === TRIES_MAX || signal.aborted) return last;
      const waitMs = last.waitMs ?? withJitter(Math.min(backoffMs, maxMs), jitter);
      if (performance.now() + waitMs >= untilMs) return last;
      backoffMs *= factor;
      await this.#pause(waitMs);
      // At the end of the process: what it waited for is not tried any more.
      if (signal.aborted) return last;
    }
  }

  async #try(body: Uint8Array, signal: AbortSignal): Promise<Try> {
    const { url, headers, isCompressed, proxy, tls } = this.#settings;
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: withOwn(headers, {
          "content-type": "application/x-protobuf",
          "user-agent": `${SCOPE_NAME}/${SCOPE_VERSION}`,
          ...(isCompressed && { "content-encoding": "gzip" }),
        }),
        body: body as Uint8Array<ArrayBuffer>,
        signal,
        proxy,
        // To send spans where nobody said that they should go would be a leak.
        redirect: "manual",
        ...(url.startsWith("https:") && { tls }),
      });
      const answer = await readBounded(response);
      return response.ok ? taken(answer) : refused(response);
    } catch (error) {
      return signal.aborted
        ? { errorType: "timeout", message: "spans were lost: the collector took too long" }
        : failed(error);
    }
  }

  async #bodyOf(bodies: readonly Uint8Array[]): Promise<Uint8Array> {
    const [only] = bodies;
    const whole = only && bodies.length === 1 ? only : Buffer.concat(bodies);
    return this.#settings.isCompressed ? await compress(whole) : whole;
  }

  async #pause(waitMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      if (!this.#isAwaited) timer.unref();
      const end = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#wait = { timer, end };
    });
    this.#wait = undefined;
  }
}

const compress = promisify(gzip);

/** The user's headers take the place of ours, whatever letters their names are written in. */
function withOwn(theirs: Record<string, string>, ours: Record<string, string>): Headers {
  const headers = new Headers(ours);
  for (const name in theirs) headers.set(name, theirs[name] ?? "");
  return headers;
}

function withJitter(ms: number, part: number): number {
  return ms * (1 + part * (2 * Math.random() - 1));
}

function taken(answer: Uint8Array): Try {
  try {
    const partial = partialSuccessIn(answer);
    if (!partial) return {};
    const { rejected, message } = partial;
    if (rejected === 0 && message === "") return {};
    const text = `the collector took spans with a reservation: ${message.slice(0, 500)}`;
    // Zero and a text is a warning to whoever sends.
    return rejected > 0 ? { errorType: "rejected", rejected, message: text } : { message: text };
  } catch {
    return { message: "the collector took spans and gave an answer that is not OTLP" };
  }
}

function refused({ status, headers }: Response): Try {
  return {
    errorType: String(status),
    message: `spans were lost: the collector answered ${status}`,
    isRetryable: RETRYABLE.has(status),
    waitMs: retryAfterMs(headers.get("retry-after")),
  };
}

/** What fails below HTTP may pass; what is wrong with a certificate or an address stays so. */
function failed(error: unknown): Try {
  const { code, name } = error as { code?: unknown; name?: unknown };
  const errorType = String(code ?? name ?? "_OTHER");
  return {
    errorType,
    message: `spans were lost: the collector cannot be reached (${errorType})`,
    isRetryable: !/cert|tls|ssl|self_signed|invalid|too_large/i.test(errorType),
  };
}

/** Seconds or a date. @see https://www.rfc-editor.org/rfc/rfc9110.html#name-retry-after */
function retryAfterMs(text: string | null): number | undefined {
  if (text === null) return undefined;
  const seconds = /^\s*(\d{1,9})\s*$/.exec(text)?.[1];
  if (seconds !== undefined) return Number(seconds) * 1000 || undefined;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - Date.now());
}

/** @throws RangeError where an answer is too long; it is given up then */
async function readBounded(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX)
      throw Object.assign(new RangeError("the answer is too long"), { code: "answer_too_large" });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
