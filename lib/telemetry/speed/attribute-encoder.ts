/**
 * Attributes as OTLP's KeyValue messages. One that was seen before (`http.request.method` = `GET`, the
 * text of a statement) is copied instead of encoded again.
 * @see https://github.com/open-telemetry/opentelemetry-proto/blob/v1.7.0/opentelemetry/proto/common/v1/common.proto
 */
import type { Attributes, AttributeValue } from "@opentelemetry/api";
import type { ProtobufWriter } from "./protobuf-writer.ts";

/** Attributes that are kept encoded: how many values of one key, how many in all, how long each. */
const KNOWN = { valuesPerKeyMax: 32, attributesMax: 4_000, bytesMax: 1_000 };

/** KeyValue messages, their length in front, by key and value. */
const known = new Map<string, Map<AttributeValue, Uint8Array>>();
let knownCount = 0;

/** Writes one attribute. @param field the number of the repeated field that it stands in, below 16 */
export function writeAttribute(
  writer: ProtobufWriter,
  field: number,
  key: string,
  value: AttributeValue | null | undefined,
): void {
  const encoded = value == null ? undefined : known.get(key)?.get(value);
  if (encoded) {
    writer.reserve(1);
    writer.writeTag(field, 2);
    writer.copy(encoded);
    return;
  }
  const message = writer.startMessage(field);
  writer.writeString(1, key);
  const valueMessage = writer.startMessage(2);
  writeValue(writer, value);
  writer.endMessage(valueMessage);
  writer.endMessage(message);
  if (value != null && typeof value !== "object") remember(writer, key, value, message);
}

/** Writes all of them. @param field as for one */
export function writeAttributes(writer: ProtobufWriter, field: number, all: Attributes): void {
  for (const key in all) writeAttribute(writer, field, key, all[key]);
}

/** An AnyValue; what is null has no value at all. */
function writeValue(writer: ProtobufWriter, value: AttributeValue | null | undefined): void {
  if (value == null) return;
  if (typeof value === "string") writer.writeString(1, value);
  else if (typeof value === "boolean") writer.writeVarintField(2, value ? 1 : 0);
  else if (typeof value === "number") writeNumber(writer, value);
  else {
    const array = writer.startMessage(5);
    for (const item of value) {
      const itemMessage = writer.startMessage(1);
      writeValue(writer, item);
      writer.endMessage(itemMessage);
    }
    writer.endMessage(array);
  }
}

/** A whole number is an int_value, any other a double_value. */
function writeNumber(writer: ProtobufWriter, value: number): void {
  if (Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63) {
    writer.writeInt64Field(3, value);
  } else {
    writer.writeDoubleField(4, value);
  }
}

/** An id or a path fills its key's share only, so that it does not crowd out the others. */
function remember(writer: ProtobufWriter, key: string, value: AttributeValue, from: number): void {
  if (writer.at - from > KNOWN.bytesMax || knownCount >= KNOWN.attributesMax) return;
  let values = known.get(key);
  if (!values) known.set(key, (values = new Map()));
  if (values.size >= KNOWN.valuesPerKeyMax) return;
  values.set(value, new Uint8Array(writer.buffer.subarray(from, writer.at)));
  knownCount++;
}
