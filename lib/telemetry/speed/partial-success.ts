/** What a collector says of spans that it did not take, although it took the request. */

const VARINT = 0;
const BYTES = 2;

/**
 * Reads an ExportTraceServiceResponse.
 * @returns how many spans were rejected, and why; undefined where all were taken
 * @throws RangeError where it is no such message
 * @see https://opentelemetry.io/docs/specs/otlp/#partial-success-1
 */
export function partialSuccessIn(
  answer: Uint8Array,
): { rejected: number; message: string } | undefined {
  const partial = fieldsOf(answer).get(1);
  if (!(partial instanceof Uint8Array)) return undefined;
  const fields = fieldsOf(partial);
  const [rejected, message] = [fields.get(1), fields.get(2)];
  return {
    rejected: typeof rejected === "number" ? rejected : 0,
    message: message instanceof Uint8Array ? new TextDecoder().decode(message) : "",
  };
}

/** A message's fields by their numbers; the last one of a number counts. */
function fieldsOf(message: Uint8Array): Map<number, number | Uint8Array> {
  const fields = new Map<number, number | Uint8Array>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; factor < 2 ** 63; factor *= 128) {
      const byte = message[at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw new RangeError("not a protobuf message");
  };
  while (at < message.length) {
    const tag = varint();
    const type = tag & 7;
    if (type === VARINT) {
      fields.set(tag >>> 3, varint());
      continue;
    }
    const length = type === BYTES ? varint() : type === 1 ? 8 : type === 5 ? 4 : Number.NaN;
    if (!(at + length <= message.length)) throw new RangeError("not a protobuf message");
    if (type === BYTES) fields.set(tag >>> 3, message.subarray(at, at + length));
    at += length;
  }
  return fields;
}
