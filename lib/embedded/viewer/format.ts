/** Times and durations for people. */
import type { WireOpenState } from "./wire.ts";

/** @param ns nanoseconds */
export function duration(ns: number): string {
  if (ns < 1_000) return `${Math.round(ns)} ns`;
  if (ns < 1_000_000) return `${Math.round(ns / 1_000)} µs`;
  if (ns < 1_000_000_000) return `${(ns / 1_000_000).toFixed(ns < 10_000_000 ? 2 : 1)} ms`;
  if (ns < 60_000_000_000) return `${(ns / 1_000_000_000).toFixed(2)} s`;
  const minutes = Math.floor(ns / 60_000_000_000);
  return `${minutes} m ${Math.round((ns - minutes * 60_000_000_000) / 1_000_000_000)} s`;
}

/** @param us microseconds since 1970 @param utc whether in UTC, else in this machine's zone */
export function clockTime(us: number, utc: boolean): string {
  const date = new Date(us / 1_000);
  const options = { hour12: false, ...(utc && { timeZone: "UTC" }) } as const;
  const time = date.toLocaleTimeString("en-GB", options);
  return `${time}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** With the day. */
export function dateTime(us: number, utc: boolean): string {
  const date = new Date(us / 1_000);
  const day = utc
    ? date.toISOString().slice(0, 10)
    : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${clockTime(us, utc)}${utc ? " UTC" : ""}`;
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}

/** How long a span took, or has taken until now. */
export function took(span: {
  readonly duration: number;
  readonly open: WireOpenState | undefined;
}): string {
  const text = duration(span.duration);
  if (span.open === "running") return `${text} so far`;
  return span.open === "silent" ? `${text}, then silence` : text;
}

/** What OTLP's kinds are called. */
export const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];

/** `1 span`, `2 spans`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
