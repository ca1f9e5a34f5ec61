/**
 * The usual `traceparent`, read without an expression: version 00, 55 characters, lower case. Whatever
 * else came is the SDK's to read.
 * @see https://www.w3.org/TR/trace-context-2/#traceparent-header-field-values
 */
import type { SpanContext, TraceState } from "@opentelemetry/api";
import { TraceId, wordAt } from "./ids.ts";

const LENGTH = 55;
const DASH = "-".charCodeAt(0);
const ZERO = "0".charCodeAt(0);

/** Whether a character code is a digit of lower-case hexadecimal. */
const IS_DIGIT = new Uint8Array(128);
for (const digit of "0123456789abcdef") IS_DIGIT[digit.charCodeAt(0)] = 1;

/** The span that a request came from: valid, and its ids are words already. */
export class RemoteParent implements SpanContext {
  readonly isRemote = true;
  readonly traceId: string;
  readonly spanId: string;
  traceFlags: number;
  traceState?: TraceState;
  readonly #trace: TraceId;
  readonly #first: number;
  readonly #last: number;

  /** @param text a valid traceparent of version 00 */
  constructor(text: string) {
    this.traceId = text.slice(3, 35);
    this.spanId = text.slice(36, 52);
    this.traceFlags = Number.parseInt(text.slice(53), 16);
    this.#trace = TraceId.of(this.traceId);
    this.#first = wordAt(this.spanId, 0);
    this.#last = wordAt(this.spanId, 8);
  }

  get trace(): TraceId {
    return this.#trace;
  }

  get first(): number {
    return this.#first;
  }

  get last(): number {
    return this.#last;
  }
}

/** @returns undefined where it is not of the usual form; it may be valid all the same */
export function parseTraceparent(text: string): RemoteParent | undefined {
  if (text.length !== LENGTH || !text.startsWith("00-")) return undefined;
  for (let at = 3; at < LENGTH; at++) {
    const code = text.charCodeAt(at);
    if (at === 35 || at === 52 ? code !== DASH : IS_DIGIT[code] !== 1) return undefined;
  }
  return isZero(text, 3, 35) || isZero(text, 36, 52) ? undefined : new RemoteParent(text);
}

function isZero(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (text.charCodeAt(at) !== ZERO) return false;
  return true;
}
