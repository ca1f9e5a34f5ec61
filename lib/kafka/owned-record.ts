// Owned record: a fetched record on its own, which keeps nothing else of the response in memory.
import type { IHeaders, KafkaMessage, Message } from "kafkajs";

/** A record as kafkajs delivers it, with where it was. */
export interface ConsumedRecord {
  topic: string;
  partition: number;
  offset: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: IHeaders;
  timestamp: string;
}

/**
 * Copies a record out of what was fetched: kafkajs hands out views into the whole response, so that
 * one waiting record would keep some hundred others in memory.
 */
export function ownRecord(
  topic: string,
  partition: number,
  { offset, key, value, headers = {}, timestamp }: KafkaMessage,
): ConsumedRecord {
  const owned = Object.entries(headers).map(([name, one]) => [
    name,
    Array.isArray(one) ? one.map(own) : own(one),
  ]);
  return {
    topic,
    partition,
    offset,
    key: own(key),
    value: own(value),
    headers: Object.fromEntries(owned),
    timestamp,
  };
}

/** How many bytes a record's key, value and headers have. */
export function recordBytes({ key, value, headers = {} }: Message): number {
  const parts = [key, value, ...Object.entries(headers).flat(2)];
  return parts.reduce((sum, part) => sum + (part?.length ?? 0), 0);
}

function own<T extends Buffer | string | null | undefined>(part: T): T {
  return Buffer.isBuffer(part) ? (Buffer.from(part) as T) : part;
}
