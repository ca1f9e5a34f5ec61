/** A message of OTLP as bytes, field by field: which bytes say what. */
import type protobuf from "protobufjs/light.js";
import type { WireBytes, WireField } from "../viewer/wire.ts";
import { encodeOtlp } from "./otlp-codec.ts";
import { messageType } from "./otlp-schema.ts";

/** Of a longer message a part is shown: nobody looks at more bytes than that. */
const BYTES_MAX = 8_192;
const TEXT_CHARS_MAX = 200;

/**
 * @param type name of the message, e.g. "Span"
 * @param message as OTLP's JSON
 * @returns its bytes as this store encodes it; another sender may put fields in another order
 */
export function bytesOf(type: string, message: object): WireBytes {
  const bytes = encodeOtlp(
    type,
    "application/x-protobuf",
    withIdsAsBase64(message) as Record<string, unknown>,
  );
  const fields: WireField[] = [];
  const view = Buffer.from(bytes);
  readMessage(view, 0, view.length, messageType(type), 0, fields);
  return {
    hex: view.subarray(0, BYTES_MAX).toString("hex"),
    length: view.length,
    fields: fields.filter(({ from }) => from < BYTES_MAX),
  };
}

/** protobufjs takes bytes as base64; OTLP's JSON has ids in hex. */
function withIdsAsBase64(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withIdsAsBase64);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, one]) => {
    const isId = /^(trace|span|parentSpan)Id$/.test(name) && typeof one === "string";
    return [name, isId ? Uint8Array.fromHex(one).toBase64() : withIdsAsBase64(one)];
  });
  return Object.fromEntries(entries);
}

/** A message is a row of fields: a number that tells which and how long, then the value. */
function readMessage(
  bytes: Buffer,
  from: number,
  to: number,
  type: protobuf.Type,
  depth: number,
  fields: WireField[],
): void {
  let at = from;
  while (at < to) {
    const start = at;
    const tag = readVarint(bytes, at);
    at = tag.end;
    const number = Number(tag.value >> 3n);
    // The last three bits: 0 a number, 1 eight bytes, 2 a length and as many bytes, 5 four bytes.
    const wireType = Number(tag.value & 7n);
    let length = wireType === 1 ? 8 : wireType === 5 ? 4 : 0;
    let value = 0n;
    if (wireType === 0 || wireType === 2) {
      const read = readVarint(bytes, at);
      at = read.end;
      if (wireType === 2) length = Number(read.value);
      else value = read.value;
    }
    const field = type.fieldsById[number];
    const end = at + length;
    const inner = field?.resolvedType;
    const isMessage = inner !== null && inner !== undefined && "fieldsArray" in inner;
    fields.push({
      name: field?.name ?? `field ${number}`,
      number,
      type: field?.type ?? "unknown",
      depth,
      from: start,
      value: at,
      to: end,
      text: isMessage
        ? `${length} bytes`
        : textOf(bytes.subarray(at, end), field?.type ?? "", value, field?.name ?? ""),
    });
    if (isMessage) readMessage(bytes, at, end, inner as protobuf.Type, depth + 1, fields);
    at = end;
  }
}

function readVarint(bytes: Buffer, from: number): { value: bigint; end: number } {
  let value = 0n;
  let at = from;
  for (let shift = 0n; ; shift += 7n) {
    const byte = bytes[at++] ?? 0;
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return { value, end: at };
  }
}

function textOf(bytes: Buffer, type: string, number: bigint, name: string): string {
  if (type === "string") return JSON.stringify(bytes.toString().slice(0, TEXT_CHARS_MAX));
  if (type === "bytes") return bytes.toString("hex").slice(0, TEXT_CHARS_MAX);
  if (type === "double") return String(bytes.readDoubleLE());
  if (type === "fixed64") return `${bytes.readBigUInt64LE()}${name.endsWith("Nano") ? " ns" : ""}`;
  if (type === "sfixed64") return String(bytes.readBigInt64LE());
  if (type === "fixed32") return `0x${bytes.readUInt32LE().toString(16)}`;
  if (type === "bool") return String(number !== 0n);
  return String(BigInt.asIntN(64, number));
}
