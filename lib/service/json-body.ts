/** The body of a request, read with a bound and parsed strictly. */
import { BadInputError, PayloadTooLargeError } from "./errors.ts";

/** 1 MiB. */
export const BODY_BYTES_MAX = 1_048_576;

/** Our deepest request has 3 levels; a text of brackets alone would exhaust the stack further on. */
const DEPTH_MAX = 64;

/**
 * Reads a JSON body, whatever its Content-Type says.
 *
 * @param request its body is consumed, at most `BODY_BYTES_MAX` bytes of it
 * @param onBytes told how long it is going to be, where that is announced, else of each chunk's length
 * @throws PayloadTooLargeError as soon as it is longer, chunked or not
 * @throws BadInputError where it is empty, not UTF-8, not JSON, or nested too deep
 */
export async function readJsonBody(
  request: Request,
  onBytes: (bytes: number) => void = () => undefined,
): Promise<unknown> {
  const text = decodeUtf8(await readBytes(request, onBytes));
  if (text.trim() === "") throw new BadInputError("the body is empty; JSON is expected");
  if (isTooDeep(text))
    throw new BadInputError(`the body is nested deeper than ${DEPTH_MAX} levels`);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new BadInputError("the body is not valid JSON");
  }
}

async function readBytes(request: Request, onBytes: (bytes: number) => void): Promise<Uint8Array> {
  const announced = request.headers.get("content-length");
  if (announced !== null) {
    // Announced as too large: refuse without reading.
    if (Number(announced) > BODY_BYTES_MAX) throw new PayloadTooLargeError(BODY_BYTES_MAX);
    onBytes(Number(announced));
    return request.bytes();
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > BODY_BYTES_MAX) throw new PayloadTooLargeError(BODY_BYTES_MAX);
    onBytes(chunk.byteLength);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function isTooDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index++) {
    const character = text[index];
    if (character === '"') inString = !inString;
    else if (inString) index += character === "\\" ? 1 : 0;
    else if (character === "[" || character === "{") depth++;
    else if (character === "]" || character === "}") depth--;
    if (depth > DEPTH_MAX) return true;
  }
  return false;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new BadInputError("the body is not valid UTF-8");
  }
}
