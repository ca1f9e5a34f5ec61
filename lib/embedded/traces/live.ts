/** Tells open pages of what changes in the store, as server-sent events. */
import type { WireChange } from "../viewer/wire.ts";
import { urlOf } from "./own-requests.ts";

/** What is watched. */
export interface Watched {
  /** Grows with each change. */
  version(): number;
  /** @returns what has changed since a version */
  changeSince(version: number): WireChange;
}

/** Changes within this time are told together. */
const TELL_EVERY_MS = 250;
/** Proxies and browsers give up what says nothing. */
const COMMENT_EVERY_MS = 15_000;
const SUBSCRIBERS_MAX = 64;

/** Streams of changes, one for each open page. */
export class LiveChanges {
  readonly #watched: Watched;
  /** What another run of the store does not have: a page that was open meanwhile begins anew. */
  readonly #run = crypto.randomUUID().slice(0, 8);
  readonly #subscribers = new Set<Subscriber>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  /**
   * @returns a stream of events `change`, whose ids say how far a page has come. With the last id that it
   *   has (`Last-Event-ID`, or the parameter `since`) a page gets in one event what it missed; of another run's id it gets all.
   */
  answer(request: Request): Response {
    const headers = { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" };
    if (request.method === "HEAD") return new Response(null, { headers });
    if (this.#subscribers.size >= SUBSCRIBERS_MAX) {
      return new Response("too many pages are open\n", { status: 503 });
    }
    const last = request.headers.get("last-event-id") ?? urlOf(request).searchParams.get("since");
    const from = last === null ? this.#watched.version() : this.#versionIn(last);
    let subscriber: Subscriber | undefined;
    const leave = () => subscriber && this.#leave(subscriber);
    const body = new ReadableStream<Uint8Array>({
      start: (stream) => {
        subscriber = { stream, version: from, saidAtMs: performance.now() };
        this.#join(subscriber);
      },
      cancel: leave,
    });
    request.signal.addEventListener("abort", leave, { once: true });
    return new Response(body, { headers });
  }

  /** Ends all streams. */
  stop(): void {
    for (const subscriber of this.#subscribers) this.#leave(subscriber);
  }

  #join(subscriber: Subscriber): void {
    this.#subscribers.add(subscriber);
    say(
      subscriber,
      `retry: 1000\nid: ${this.#idOf(subscriber.version)}\nevent: hello\ndata: {}\n\n`,
    );
    this.#timer ??= setInterval(() => this.#tell(), TELL_EVERY_MS);
  }

  #leave(subscriber: Subscriber): void {
    if (!this.#subscribers.delete(subscriber)) return;
    try {
      subscriber.stream.close();
    } catch {
      // It was cancelled by the page.
    }
    if (this.#subscribers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #idOf(version: number): string {
    return `${this.#run}-${version}`;
  }

  /** @returns 0 for what is not an id of this run */
  #versionIn(id: string): number {
    const [run, version] = id.split("-");
    return run === this.#run && /^\d{1,15}$/.test(version ?? "") ? Number(version) : 0;
  }

  #tell(): void {
    const version = this.#watched.version();
    const nowMs = performance.now();
    for (const subscriber of this.#subscribers) {
      // A page that does not read gets no more; what it misses meanwhile is told in one when it reads again.
      if ((subscriber.stream.desiredSize ?? 0) <= 0) continue;
      if (subscriber.version !== version) {
        const change = JSON.stringify(this.#watched.changeSince(subscriber.version));
        subscriber.version = version;
        subscriber.saidAtMs = nowMs;
        say(subscriber, `id: ${this.#idOf(version)}\nevent: change\ndata: ${change}\n\n`);
      } else if (nowMs - subscriber.saidAtMs > COMMENT_EVERY_MS) {
        subscriber.saidAtMs = nowMs;
        say(subscriber, ": still here\n\n");
      }
    }
  }
}

interface Subscriber {
  readonly stream: ReadableStreamDefaultController<Uint8Array>;
  version: number;
  saidAtMs: number;
}

const encoder = new TextEncoder();

function say({ stream }: Subscriber, text: string): void {
  stream.enqueue(encoder.encode(text));
}
