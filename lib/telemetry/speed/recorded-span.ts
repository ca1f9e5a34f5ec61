/**
 * A span that is recorded: what the API's Span promises, by the rules of the SDK's own, at a fraction of
 * its cost. Nothing is copied that does not have to be, ids are words, and the text of an id is made
 * where somebody asks for it.
 * @see https://opentelemetry.io/docs/specs/otel/trace/sdk/
 */
import {
  diag,
  SpanStatusCode,
  type Attributes,
  type AttributeValue,
  type Exception,
  type HrTime,
  type Link,
  type Span,
  type SpanContext,
  type SpanKind,
  type SpanStatus,
  type TimeInput,
  type TraceState,
} from "@opentelemetry/api";
import { isAttributeValue, isTimeInput, sanitizeAttributes } from "@opentelemetry/core";
import type { SpanLimits } from "@opentelemetry/sdk-trace-base";
import { templateOf, type AttributeTemplate } from "./attribute-template.ts";
import { clockOffsetMs, givenTime, hrTimeOf } from "../setup/clock.ts";
import { randomWord, wordText, type TraceId } from "./ids.ts";

export interface SpanEvent {
  name: string;
  attributes: Attributes;
  time: number | HrTime;
  droppedAttributesCount: number;
}

/** Whose child a span is: the two words of that one's id. */
export interface ParentId {
  readonly first: number;
  readonly last: number;
  readonly isRemote: boolean;
}

/** Takes each span when it has ended. */
export type TakeSpan = (span: RecordedSpan) => void;

export class RecordedSpan implements Span, ParentId {
  name: string;
  readonly kind: SpanKind;
  readonly traceId: TraceId;
  readonly parent: ParentId | undefined;
  readonly traceFlags: number;
  readonly traceState: TraceState | undefined;
  readonly first: number;
  readonly last: number;
  /** As a parent: its children are in the same process. */
  readonly isRemote = false;
  /** In milliseconds since 1970, or as it was given. */
  readonly startTime: number | HrTime;
  endTime: number | HrTime = 0;
  /** What it begins with, encoded once for many spans; the others come on top. */
  template: AttributeTemplate | undefined = undefined;
  /** Keys and values in turns: an object for a dozen of them costs more than all the rest. */
  attributes: (AttributeValue | string)[] = [];
  events: SpanEvent[] | undefined = undefined;
  links: Link[] | undefined = undefined;
  /** Undefined as long as it is unset. */
  status: SpanStatus | undefined = undefined;
  droppedAttributes = 0;
  droppedEvents = 0;
  droppedLinks = 0;
  /** As the SDK's spans have it: the Elysia plugin looks at it. */
  ended = false;
  readonly #startedMs: number;
  readonly #offsetMs: number;
  readonly #limits: Required<SpanLimits>;
  readonly #take: TakeSpan;
  #context: SpanContext | undefined = undefined;

  /** @param take gets the span when it has ended */
  constructor(
    name: string,
    kind: SpanKind,
    traceId: TraceId,
    parent: ParentId | undefined,
    traceFlags: number,
    traceState: TraceState | undefined,
    startTime: TimeInput | undefined,
    limits: Required<SpanLimits>,
    take: TakeSpan,
  ) {
    this.name = name;
    this.kind = kind;
    this.traceId = traceId;
    this.parent = parent;
    this.traceFlags = traceFlags;
    this.traceState = traceState;
    this.first = randomWord();
    // All zeros is not a valid id; nobody will ever see this happen.
    this.last = randomWord() || 1;
    this.#limits = limits;
    this.#take = take;
    this.#startedMs = performance.now();
    this.#offsetMs = clockOffsetMs(this.#startedMs);
    this.startTime =
      startTime == null ? this.#startedMs + this.#offsetMs : givenTime(startTime, this.#offsetMs);
  }

  spanContext(): SpanContext {
    return (this.#context ??= {
      traceId: this.traceId.text,
      spanId: wordText(this.first) + wordText(this.last),
      traceFlags: this.traceFlags,
      ...(this.traceState && { traceState: this.traceState }),
    });
  }

  setAttribute(key: string, value: AttributeValue | undefined | null): this {
    if (value == null || this.#isOver()) return this;
    if (key.length === 0 || !isValue(value)) {
      diag.warn(`Invalid attribute key or value: ${key}`);
      return this;
    }
    if (this.template && indexOfKey(this.template.list, key) >= 0) this.#takeTemplateApart();
    const at = indexOfKey(this.attributes, key);
    if (at >= 0) {
      this.attributes[at + 1] = this.#cut(value);
    } else if (this.#attributeCount() >= this.#limits.attributeCountLimit) {
      this.droppedAttributes++;
    } else {
      this.attributes.push(key, this.#cut(value));
    }
    return this;
  }

  setAttributes(all: Attributes): this {
    if (this.#attributeCount() === 0 && !this.ended) {
      const template = templateOf(all);
      if (template && this.#fits(template)) {
        this.template = template;
        return this;
      }
    }
    for (const key in all) {
      if (Object.hasOwn(all, key)) this.setAttribute(key, all[key]);
    }
    return this;
  }

  #attributeCount(): number {
    return (this.attributes.length + (this.template?.list.length ?? 0)) / 2;
  }

  /** Whether none of its texts has to be cut, and none of its attributes to be dropped. */
  #fits({ list, textCharactersMax }: AttributeTemplate): boolean {
    const { attributeCountLimit, attributeValueLengthLimit } = this.#limits;
    return list.length / 2 <= attributeCountLimit && textCharactersMax <= attributeValueLengthLimit;
  }

  /** One of its attributes gets another value. */
  #takeTemplateApart(): void {
    this.attributes = [...(this.template?.list ?? []), ...this.attributes];
    this.template = undefined;
  }

  addEvent(name: string, attributesOrTime?: Attributes | TimeInput, time?: TimeInput): this {
    if (this.#isOver()) return this;
    const isTime = isTimeInput(attributesOrTime);
    const when = isTime && !isTimeInput(time) ? attributesOrTime : time;
    const own = this.#bounded(
      isTime ? undefined : (attributesOrTime as Attributes | undefined),
      this.#limits.attributePerEventCountLimit,
    );
    const event = {
      name,
      attributes: own.attributes,
      time: this.#timeOf(when),
      droppedAttributesCount: own.dropped,
    };
    this.droppedEvents += pushBounded((this.events ??= []), event, this.#limits.eventCountLimit);
    return this;
  }

  addLink(link: Link): this {
    if (this.#isOver()) return this;
    const own = this.#bounded(link.attributes, this.#limits.attributePerLinkCountLimit);
    const bounded = {
      context: link.context,
      attributes: own.attributes,
      droppedAttributesCount: own.dropped,
    };
    this.droppedLinks += pushBounded((this.links ??= []), bounded, this.#limits.linkCountLimit);
    return this;
  }

  addLinks(links: Link[]): this {
    for (const link of links) this.addLink(link);
    return this;
  }

  /** Unset changes nothing, and OK is final. */
  setStatus({ code, message }: SpanStatus): this {
    if (this.#isOver() || code === SpanStatusCode.UNSET) return this;
    if (this.status?.code === SpanStatusCode.OK) return this;
    // Whoever hands a caught error on may well have something else than text there.
    const isText = code === SpanStatusCode.ERROR && typeof message === "string";
    this.status = isText ? { code, message } : { code };
    return this;
  }

  updateName(name: string): this {
    if (!this.#isOver()) this.name = name;
    return this;
  }

  isRecording(): boolean {
    return !this.ended;
  }

  recordException(exception: Exception, time?: TimeInput): void {
    const attributes = exceptionAttributes(exception);
    if (attributes["exception.type"] || attributes["exception.message"]) {
      this.addEvent("exception", attributes, time);
    } else {
      diag.warn("Failed to record an exception that has neither type nor message");
    }
  }

  end(endTime?: TimeInput): void {
    if (this.#isOver()) return;
    this.endTime = this.#timeOf(endTime);
    if (isBefore(this.endTime, this.startTime)) {
      diag.warn("A span ends before it starts; its duration is set to 0");
      this.endTime = this.startTime;
    }
    this.ended = true;
    this.#take(this);
  }

  #isOver(): boolean {
    if (this.ended) diag.warn(`The span "${this.name}" has ended already`);
    return this.ended;
  }

  /** The time that was given; else now, on the clock that the span's start was taken from. */
  #timeOf(given: TimeInput | undefined): number | HrTime {
    if (given != null) return givenTime(given, this.#offsetMs);
    if (typeof this.startTime === "number") return performance.now() + this.#offsetMs;
    return hrTimeOf(Date.now());
  }

  /** Text is cut to its limit; a list is copied, as its owner may change it. */
  #cut<Value extends AttributeValue | null | undefined>(value: Value): Value {
    const { attributeValueLengthLimit: limit } = this.#limits;
    if (typeof value === "string") return cutText(value, limit) as Value;
    if (!Array.isArray(value)) return value;
    return value.map((item) => (typeof item === "string" ? cutText(item, limit) : item)) as Value;
  }

  #bounded(given: Attributes | undefined, limit: number) {
    const attributes: Attributes = {};
    let count = 0;
    let dropped = 0;
    for (const [key, value] of Object.entries(sanitizeAttributes(given))) {
      if (count >= limit) dropped++;
      else {
        attributes[key] = this.#cut(value);
        count++;
      }
    }
    return { attributes, dropped };
  }
}

/** @param list keys and values in turns @returns -1 where it has no such key */
function indexOfKey(list: readonly unknown[], key: string): number {
  for (let at = 0; at < list.length; at += 2) if (list[at] === key) return at;
  return -1;
}

function isValue(value: AttributeValue): boolean {
  return typeof value === "string" || typeof value === "number" || isAttributeValue(value);
}

/** A limit of 0 or less counts as none, as with the SDK. */
function cutText(text: string, limit: number): string {
  return limit > 0 && text.length > limit ? text.slice(0, limit) : text;
}

/** Adds to a list of limited length, from which the oldest goes. @returns how many were left out */
function pushBounded<Item>(list: Item[], item: Item, limit: number): number {
  if (limit === 0) return 1;
  const isFull = list.length >= limit;
  if (isFull) list.shift();
  list.push(item);
  return isFull ? 1 : 0;
}

function exceptionAttributes(exception: Exception): Attributes {
  if (typeof exception === "string") return { "exception.message": exception };
  const attributes: Attributes = {};
  const { code, name, message, stack } = exception ?? {};
  if (code) attributes["exception.type"] = String(code);
  else if (name) attributes["exception.type"] = name;
  if (message) attributes["exception.message"] = message;
  if (stack) attributes["exception.stacktrace"] = stack;
  return attributes;
}

function isBefore(time: number | HrTime, other: number | HrTime): boolean {
  if (typeof time === "number" && typeof other === "number") return time < other;
  const [seconds, nanos] = typeof time === "number" ? hrTimeOf(time) : time;
  const [otherSeconds, otherNanos] = typeof other === "number" ? hrTimeOf(other) : other;
  return seconds < otherSeconds || (seconds === otherSeconds && nanos < otherNanos);
}
