/** What the pages ask the store. */
import { signal } from "@preact/signals";
import type { WireChange, WireStats } from "./wire.ts";

/** The store said that it cannot, in its own words. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** @throws StoreError @throws TypeError where the store does not answer */
export async function ask<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await fetch(path, signal ? { signal } : {});
  if (response.ok) return (await response.json()) as T;
  // What is no JSON is not the store's own answer: a proxy's, say.
  const { error } = (await response.json().catch(() => ({}))) as { error?: string };
  throw new StoreError(response.status, error ?? `the store answered ${response.status}`);
}

/** Whether changes are told at the moment. */
export const connected = signal(false);
/** How much the store holds, as far as it has told. */
export const stats = signal<WireStats | undefined>(undefined);

type Listener = (change: WireChange) => void;
const listeners = new Set<Listener>();

/** @returns ends the listening */
export function onChange(listener: Listener): () => void {
  listeners.add(listener);
  join();
  return () => listeners.delete(listener);
}

/**
 * What the pages of one browser tell each other. One of them holds the stream for all: a browser has six
 * connections to a server, and with a stream each the seventh page would never load.
 */
type Message =
  | { readonly type: "ask" }
  | { readonly type: "state"; readonly connected: boolean }
  | { readonly type: "change"; readonly id: string; readonly change: WireChange };

const NAME = "orderflow.live";
let channel: BroadcastChannel | undefined;
let isLeading = false;
/** How far this page has heard. */
let lastId = "";

function join(): void {
  if (channel) return;
  channel = new BroadcastChannel(NAME);
  channel.addEventListener("message", ({ data }: MessageEvent<Message>) => heed(data));
  post({ type: "ask" });
  // Whoever has the lock leads; when that page goes, the next one has it.
  if (navigator.locks) void navigator.locks.request(NAME, lead);
  // Outside of this machine's own names a browser has no locks: a stream each, then.
  else void lead();
}

async function lead(): Promise<never> {
  isLeading = true;
  // It comes back by itself, and says with the last id what it has heard of.
  const source = new EventSource(`/api/view/live${lastId && `?since=${lastId}`}`);
  source.addEventListener("hello", () => tell({ type: "state", connected: true }));
  source.addEventListener("error", () => tell({ type: "state", connected: false }));
  source.addEventListener("change", (event: MessageEvent<string>) => {
    const change = JSON.parse(event.data) as WireChange;
    tell({ type: "change", id: event.lastEventId, change });
  });
  return await new Promise<never>(() => undefined);
}

function tell(message: Message): void {
  heed(message);
  post(message);
}

function post(message: Message): void {
  // A channel is its own origin's alone: there is no other to name.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  channel?.postMessage(message);
}

function heed(message: Message): void {
  if (message.type === "ask") {
    if (isLeading) post({ type: "state", connected: connected.value });
  } else if (message.type === "state") {
    connected.value = message.connected;
  } else {
    connected.value = true;
    lastId = message.id;
    stats.value = message.change.stats;
    for (const listener of listeners) listener(message.change);
  }
}
