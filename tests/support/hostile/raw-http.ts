/** HTTP over a bare socket: sends the bytes it is given, whether they are HTTP or not. */
import { connect, type Socket } from "node:net";

/** What came back. */
export interface RawAnswer {
  readonly status: number;
  /** Names in lower case; a repeated header's values are joined with a comma. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** Bytes behind the answer: none, unless somebody managed to split it in two. */
  readonly rest: Buffer;
}

export interface RawClient {
  write(bytes: Uint8Array | string): void;
  /** Says that nothing more is sent, and goes on listening. */
  halfClose(): void;
  /**
   * @returns the answer, or undefined where the server closes the connection without one
   * @throws Error where neither happens in time
   */
  answer(timeoutMs?: number): Promise<RawAnswer | undefined>;
  /** Ends the connection at once. */
  destroy(): void;
}

const ANSWER_TIMEOUT_MS = 10_000;

/** Opens a connection. @param method of the request to come: the answer to a HEAD has no body */
export async function connectRaw(url: string, method = "GET"): Promise<RawClient> {
  const { hostname, port } = new URL(url);
  const socket = connect({
    host: hostname,
    port: Number(port),
    allowHalfOpen: true,
    noDelay: true,
  });
  const received = collect(socket);
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return {
    write: (bytes) => void socket.write(bytes),
    halfClose: () => void socket.end(),
    answer: (timeoutMs = ANSWER_TIMEOUT_MS) => received.answer(method, timeoutMs),
    destroy: () => void socket.destroy(),
  };
}

/** One request on a connection of its own. */
export async function exchange(
  url: string,
  request: Uint8Array | string,
  method = "GET",
): Promise<RawAnswer | undefined> {
  const client = await connectRaw(url, method);
  try {
    client.write(request);
    return await client.answer();
  } finally {
    client.destroy();
  }
}

function collect(socket: Socket) {
  let bytes: Buffer = Buffer.alloc(0);
  let ended = false;
  let changed = Promise.withResolvers<void>();
  const wake = () => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const end = () => {
    ended = true;
    wake();
  };
  socket.on("data", (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    wake();
  });
  socket.on("end", end);
  socket.on("close", end);
  // A server that refuses a body may reset the connection; what it said before counts.
  socket.on("error", end);

  return {
    async answer(method: string, timeoutMs: number): Promise<RawAnswer | undefined> {
      const giveUpAtMs = performance.now() + timeoutMs;
      for (;;) {
        const answer = parseAnswer(bytes, method, ended);
        if (answer) return answer;
        if (ended && bytes.length === 0) return undefined;
        if (ended) throw new Error(`the answer breaks off: ${JSON.stringify(bytes.toString())}`);
        const leftMs = giveUpAtMs - performance.now();
        if (leftMs <= 0) throw new Error(`no whole answer within ${timeoutMs} ms`);
        await Promise.race([changed.promise, Bun.sleep(leftMs)]);
      }
    },
  };
}

/** @returns undefined where more has to come first */
function parseAnswer(bytes: Buffer, method: string, ended: boolean): RawAnswer | undefined {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const [statusLine = "", ...lines] = bytes.subarray(0, headEnd).toString("latin1").split("\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(statusLine)?.[1]);
  if (!status) throw new Error(`not an HTTP answer: ${JSON.stringify(statusLine)}`);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) {
      throw new Error(`not a header: ${JSON.stringify(line)}`);
    }
    const before = headers.get(name.toLowerCase());
    headers.set(name.toLowerCase(), before === undefined ? value : `${before}, ${value}`);
  }
  const after = bytes.subarray(headEnd + 4);
  // "100 Continue" and its kin go before the answer.
  if (status < 200) return parseAnswer(after, method, ended);
  const split = splitBody(after, headers, method === "HEAD" || status === 204, ended);
  return split && { status, headers, ...split };
}

function splitBody(
  bytes: Buffer,
  headers: ReadonlyMap<string, string>,
  isBodiless: boolean,
  ended: boolean,
): Pick<RawAnswer, "body" | "rest"> | undefined {
  if (isBodiless) return { body: Buffer.alloc(0), rest: bytes };
  if (headers.get("transfer-encoding") === "chunked") return readChunks(bytes);
  const length = headers.get("content-length");
  if (length === undefined) return ended ? { body: bytes, rest: Buffer.alloc(0) } : undefined;
  const size = Number(length);
  if (bytes.length < size) return undefined;
  return { body: bytes.subarray(0, size), rest: bytes.subarray(size) };
}

function readChunks(bytes: Buffer): Pick<RawAnswer, "body" | "rest"> | undefined {
  const chunks: Buffer[] = [];
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString("latin1"), 16);
    const start = lineEnd + 2;
    if (bytes.length < start + size + 2) return undefined;
    if (size === 0) return { body: Buffer.concat(chunks), rest: bytes.subarray(start + 2) };
    chunks.push(bytes.subarray(start, start + size));
    at = start + size + 2;
  }
}
