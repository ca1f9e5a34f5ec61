/**
 * One ended span as OTLP protobuf. Encoding is the largest part of what tracing costs; here a span is
 * written once, at its end, and what all spans of one name have in common is copied.
 * @see https://github.com/open-telemetry/opentelemetry-proto/blob/v1.7.0/opentelemetry/proto/trace/v1/trace.proto
 */
import type { Link, SpanStatus } from "@opentelemetry/api";
import { writeAttribute, writeAttributes } from "./attribute-encoder.ts";
import { wordAt } from "./ids.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";
import type { RecordedSpan, SpanEvent } from "./recorded-span.ts";

/** Names that are kept encoded, and how long each may be. */
const NAMES = { max: 1_000, charactersMax: 200 };

const HAS_IS_REMOTE = 0x100;
const IS_REMOTE = 0x200;

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
/** A length-delimited field. */
const BYTES = 2;

/** Writes a span as field 2 of a ScopeSpans message. */
export function writeSpan(writer: ProtobufWriter, span: RecordedSpan): void {
  const message = writer.startMessage(2);
  writer.reserve(64);
  writeIdHeader(writer, 1, TRACE_ID_BYTES);
  const { a, b, c, d } = span.traceId;
  writer.writeWord(a);
  writer.writeWord(b);
  writer.writeWord(c);
  writer.writeWord(d);
  writeIdHeader(writer, 2, SPAN_ID_BYTES);
  writer.writeWord(span.first);
  writer.writeWord(span.last);
  const state = span.traceState?.serialize();
  if (state) writer.writeString(3, state);
  if (span.parent) {
    writer.reserve(16);
    writeIdHeader(writer, 4, SPAN_ID_BYTES);
    writer.writeWord(span.parent.first);
    writer.writeWord(span.parent.last);
  }
  writer.copy(nameAndKind(span.name, span.kind));
  writer.writeTimeField(7, span.startTime);
  writer.writeTimeField(8, span.endTime);
  if (span.template) writer.copy(span.template.bytes);
  const { attributes } = span;
  for (let index = 0; index < attributes.length; index += 2) {
    writeAttribute(writer, 9, attributes[index] as string, attributes[index + 1]);
  }
  writeCount(writer, 10, span.droppedAttributes);
  if (span.events) for (const event of span.events) writeEvent(writer, event);
  writeCount(writer, 12, span.droppedEvents);
  if (span.links) for (const link of span.links) writeLink(writer, link);
  writeCount(writer, 14, span.droppedLinks);
  if (span.status) writeStatus(writer, span.status);
  writer.writeFixed32Field(16, flagsOf(span.traceFlags, span.parent?.isRemote === true));
  writer.endMessage(message);
}

/** Encoded names by kind. */
const names: Map<string, Uint8Array>[] = [];
let namesKept = 0;
const nameWriter = new ProtobufWriter(1_024);

function nameAndKind(name: string, kind: number): Uint8Array {
  const kept = names[kind]?.get(name);
  if (kept) return kept;
  nameWriter.at = 0;
  nameWriter.writeString(5, name);
  // The protocol counts from 1: 0 is a kind that nobody gave.
  nameWriter.writeVarintField(6, kind + 1);
  const encoded = new Uint8Array(nameWriter.buffer.subarray(0, nameWriter.at));
  if (namesKept < NAMES.max && name.length <= NAMES.charactersMax) {
    (names[kind] ??= new Map()).set(name, encoded);
    namesKept++;
  }
  return encoded;
}

function writeEvent(writer: ProtobufWriter, event: SpanEvent): void {
  const message = writer.startMessage(11);
  writer.writeTimeField(1, event.time);
  writer.writeString(2, event.name);
  writeAttributes(writer, 3, event.attributes);
  writeCount(writer, 4, event.droppedAttributesCount);
  writer.endMessage(message);
}

function writeLink(writer: ProtobufWriter, link: Link): void {
  const { traceId, spanId, traceState, traceFlags, isRemote } = link.context;
  const message = writer.startMessage(13);
  writeHex(writer, 1, traceId, TRACE_ID_BYTES);
  writeHex(writer, 2, spanId, SPAN_ID_BYTES);
  const state = traceState?.serialize();
  if (state) writer.writeString(3, state);
  writeAttributes(writer, 4, link.attributes ?? {});
  writeCount(writer, 5, link.droppedAttributesCount ?? 0);
  writer.writeFixed32Field(6, flagsOf(traceFlags, isRemote === true));
  writer.endMessage(message);
}

function writeStatus(writer: ProtobufWriter, { code, message: text }: SpanStatus): void {
  const message = writer.startMessage(15);
  if (text) writer.writeString(2, text);
  writer.writeVarintField(3, code);
  writer.endMessage(message);
}

function writeCount(writer: ProtobufWriter, field: number, count: number): void {
  if (count > 0) writer.writeVarintField(field, count);
}

/** A link's id may be anything: what is missing of it is zeros, what is too much is left out. */
function writeHex(writer: ProtobufWriter, field: number, hex: string, bytes: number): void {
  writer.reserve(2 + bytes);
  writeIdHeader(writer, field, bytes);
  for (let from = 0; from < 2 * bytes; from += 8) writer.writeWord(wordAt(hex, from));
}

function writeIdHeader(writer: ProtobufWriter, field: number, bytes: number): void {
  writer.writeTag(field, BYTES);
  writer.writeVarint(bytes);
}

function flagsOf(traceFlags: number, isParentRemote: boolean): number {
  return (traceFlags & 0xff) | HAS_IS_REMOTE | (isParentRemote ? IS_REMOTE : 0);
}
