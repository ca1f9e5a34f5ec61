/** OTLP's two encodings, protobuf and JSON, read into and written from one form: OTLP/JSON objects. */
import protobuf from "protobufjs/light.js";
import { messageType } from "./otlp-schema.ts";
import { isId } from "./otlp.ts";

/** The two media types of OTLP/HTTP. */
export type OtlpEncoding = "application/x-protobuf" | "application/json";

/** The body is not what its content type and path promise. The sender must not retry it. */
export class OtlpDecodeError extends Error {
  override readonly name = "OtlpDecodeError";
}

/**
 * Decodes a message of either encoding, dropping fields that the schema does not know, as OTLP asks.
 * @param type name of the message, e.g. "ExportTraceServiceRequest"
 * @returns it as an OTLP/JSON object: ids as lower-case hex and one of zeros as "", other bytes as base64, 64-bit numbers
 *   as strings, enums as numbers; fields that were not sent are missing
 * @throws OtlpDecodeError
 * @see https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
export function decodeOtlp(
  type: string,
  encoding: OtlpEncoding,
  body: Uint8Array,
): Record<string, unknown> {
  try {
    return encoding === "application/json"
      ? messageFromJson(messageType(type), JSON.parse(utf8(body)), type)
      : messageFromProtobuf(messageType(type), body);
  } catch (error) {
    if (error instanceof OtlpDecodeError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new OtlpDecodeError(`not a valid ${type}: ${reason}`, { cause: error });
  }
}

/** @returns the bytes of a message that is given as an OTLP/JSON object */
export function encodeOtlp(
  type: string,
  encoding: OtlpEncoding,
  message: Record<string, unknown>,
): Uint8Array {
  if (encoding === "application/json") return new TextEncoder().encode(JSON.stringify(message));
  const protobufType = messageType(type);
  return protobufType.encode(protobufType.fromObject(message)).finish();
}

function utf8(body: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(body);
}

function messageFromProtobuf(type: protobuf.Type, body: Uint8Array): Record<string, unknown> {
  const decoded = type.toObject(type.decode(body), { longs: String, json: true });
  return withBytesAsText(decoded) as Record<string, unknown>;
}

/** protobufjs leaves bytes as they are, because it cannot know that OTLP wants its ids in hex. */
function withBytesAsText(value: unknown, field = ""): unknown {
  if (value instanceof Uint8Array)
    return isIdField(field) ? idText(value.toHex()) : value.toBase64();
  if (Array.isArray(value)) return value.map((element) => withBytesAsText(element, field));
  if (typeof value !== "object" || value === null) return value;
  const message = value as Record<string, unknown>;
  for (const [name, element] of Object.entries(message)) {
    if (typeof element === "object") message[name] = withBytesAsText(element, name);
  }
  return message;
}

function isIdField(field: string): boolean {
  return field === "traceId" || field === "spanId" || field === "parentSpanId";
}

/** Zeros stand for no id, as nothing does: one form of that is enough for all who read a trace. */
function idText(hex: string): string {
  return isId(hex) ? hex.toLowerCase() : "";
}

/** Far more than any real attribute nests; protobufjs has the same bound. */
const DEPTH_MAX = 100;

function messageFromJson(
  type: protobuf.Type,
  json: unknown,
  path: string,
  depth = 0,
): Record<string, unknown> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new OtlpDecodeError(`${path} must be an object`);
  }
  if (depth > DEPTH_MAX) throw new OtlpDecodeError(`${path} is nested too deeply`);
  const message: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(json)) {
    const field = Object.hasOwn(type.fields, name) ? type.fields[name] : undefined;
    // null stands for "not set" in protobuf's JSON.
    if (!field || value === null) continue;
    const fieldPath = `${path}.${name}`;
    if (!field.repeated) {
      message[name] = fieldFromJson(field, value, fieldPath, depth);
    } else if (Array.isArray(value)) {
      message[name] = value.map((element, index) =>
        fieldFromJson(field, element, `${fieldPath}[${index}]`, depth),
      );
    } else {
      throw new OtlpDecodeError(`${fieldPath} must be an array`);
    }
  }
  return message;
}

function fieldFromJson(
  field: protobuf.Field,
  value: unknown,
  path: string,
  depth: number,
): unknown {
  if (field.resolvedType instanceof protobuf.Type) {
    return messageFromJson(field.resolvedType, value, path, depth + 1);
  }
  const scalar = SCALARS[field.type]?.(value, field.name);
  if (scalar === undefined) throw new OtlpDecodeError(`${path} is not a valid ${field.type}`);
  return scalar;
}

/** Reads one scalar; undefined where the value is not one. */
type ScalarReader = (value: unknown, field: string) => string | number | boolean | undefined;

const SCALARS: Readonly<Record<string, ScalarReader>> = {
  string: (value) => (typeof value === "string" ? value : undefined),
  bool: (value) => (typeof value === "boolean" ? value : undefined),
  double: readDouble,
  int32: (value) => readInteger(value, -(2 ** 31), 2 ** 31 - 1),
  sint32: (value) => readInteger(value, -(2 ** 31), 2 ** 31 - 1),
  uint32: (value) => readInteger(value, 0, 2 ** 32 - 1),
  fixed32: (value) => readInteger(value, 0, 2 ** 32 - 1),
  int64: (value) => readLong(value, -(2n ** 63n), 2n ** 63n - 1n),
  sfixed64: (value) => readLong(value, -(2n ** 63n), 2n ** 63n - 1n),
  uint64: (value) => readLong(value, 0n, 2n ** 64n - 1n),
  fixed64: (value) => readLong(value, 0n, 2n ** 64n - 1n),
  bytes: readBytes,
};

function readDouble(value: unknown): number | string | undefined {
  if (value === "NaN" || value === "Infinity" || value === "-Infinity") return value;
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

function readInteger(value: unknown, min: number, max: number): number | undefined {
  const number = typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value;
  if (typeof number !== "number" || !Number.isInteger(number)) return undefined;
  return number >= min && number <= max ? number : undefined;
}

function readLong(value: unknown, min: bigint, max: bigint): string | undefined {
  const isNumber = typeof value === "number" && Number.isInteger(value);
  if (!isNumber && !(typeof value === "string" && /^-?\d{1,20}$/.test(value))) return undefined;
  const long = BigInt(value as number | string);
  return long >= min && long <= max ? String(long) : undefined;
}

function readBytes(value: unknown, field: string): string | undefined {
  if (typeof value !== "string") return undefined;
  if (isIdField(field)) return /^([0-9a-f]{2})*$/i.test(value) ? idText(value) : undefined;
  const standard = value.replaceAll("-", "+").replaceAll("_", "/");
  try {
    return Uint8Array.fromBase64(standard).toBase64();
  } catch {
    return undefined;
  }
}
