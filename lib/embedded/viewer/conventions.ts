/** What the conventions say of attributes, as far as it has been asked for. */
import { signal } from "@preact/signals";
import { ask } from "./api.ts";
import type { WireConvention } from "./wire.ts";

/** By key; undefined for a key that they do not know. */
export const conventions = signal<ReadonlyMap<string, WireConvention | undefined>>(new Map());

/** Asks for what is not known yet. */
export async function learnConventions(keys: readonly string[]): Promise<void> {
  const unknown = [...new Set(keys)].filter((key) => !conventions.value.has(key));
  if (unknown.length === 0) return;
  const parameters = new URLSearchParams(unknown.map((key) => ["key", key]));
  const found = await ask<Record<string, WireConvention>>(
    `/api/view/conventions?${parameters}`,
  ).catch(() => undefined);
  if (!found) return;
  conventions.value = new Map([
    ...conventions.value,
    ...unknown.map((key) => [key, Object.hasOwn(found, key) ? found[key] : undefined] as const),
  ]);
}
