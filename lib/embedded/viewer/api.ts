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
let stream: EventSource | undefined;

/** @returns ends the listening */
export function onChange(listener: Listener): () => void {
  listeners.add(listener);
  stream ??= open();
  return () => listeners.delete(listener);
}

function open(): EventSource {
  // It comes back by itself, and says with the last id what it has heard of.
  const source = new EventSource("/api/view/live");
  source.addEventListener("hello", () => {
    connected.value = true;
  });
  source.addEventListener("error", () => {
    connected.value = false;
  });
  source.addEventListener("change", (event: MessageEvent<string>) => {
    connected.value = true;
    const change = JSON.parse(event.data) as WireChange;
    stats.value = change.stats;
    for (const listener of listeners) listener(change);
  });
  return source;
}
