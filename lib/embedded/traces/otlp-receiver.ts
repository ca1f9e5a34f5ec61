/** The OTLP/HTTP receiver: takes export requests, answers them, and hands on what they hold. */
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { urlOf } from "./own-requests.ts";
import { decodeOtlp, encodeOtlp, OtlpDecodeError, type OtlpEncoding } from "./otlp-codec.ts";
import type { OtlpTrace } from "./otlp.ts";
import type { AddResult } from "./trace-ring.ts";

/** Where the decoded requests go. */
export interface OtlpSink {
  /** @param encodedBytes size of the request's body, uncompressed */
  addTraces(request: OtlpTrace, encodedBytes: number): AddResult;
  /**
   * Without it there is no place for open spans, as in any other collector.
   * @param process tells the program from others that tells of its open spans
   */
  addOpenSpans?(process: string, request: OtlpTrace, encodedBytes: number): void;
  addMetrics(request: Record<string, unknown>, encodedBytes: number): void;
  addLogs(request: Record<string, unknown>, encodedBytes: number): void;
}

/**
 * @param bodyBytesMax bound for a body, as it is sent and again once it is unpacked
 * @returns a fetch handler for POST /v1/traces, /v1/metrics, /v1/logs and /api/open-spans; every answer, errors too, has
 *   the encoding of its request
 * @see https://opentelemetry.io/docs/specs/otlp/#otlphttp (1.10)
 */
export function createOtlpReceiver(
  sink: OtlpSink,
  bodyBytesMax: number,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const url = urlOf(request);
    const signal = SIGNALS[url.pathname];
    const encoding = encodingOf(request);
    try {
      if (!signal) throw new Refusal(404, "there is nothing here; OTLP goes to /v1/traces, …");
      if (request.method !== "POST") throw new Refusal(405, "use POST", { Allow: "POST" });
      if (!encoding) {
        throw new Refusal(415, "send application/x-protobuf or application/json");
      }
      const body = await readBody(request, bodyBytesMax);
      const message = decodeOtlp(signal.request, encoding, body);
      const partialSuccess = signal.accept(sink, message, body.byteLength, url);
      return answer(200, signal.response, encoding, partialSuccess ? { partialSuccess } : {});
    } catch (error) {
      if (error instanceof Refusal) return refuse(error, encoding);
      if (error instanceof OtlpDecodeError)
        return refuse(new Refusal(400, error.message), encoding);
      throw error;
    }
  };
}

/** One of OTLP's signals: its messages, and what to do with a request. */
interface Signal {
  readonly request: string;
  readonly response: string;
  /** @returns the partial success to report, if not everything was accepted */
  accept(
    sink: OtlpSink,
    message: Record<string, unknown>,
    encodedBytes: number,
    url: URL,
  ): Record<string, unknown> | undefined;
}

const SIGNALS: Readonly<Record<string, Signal>> = {
  "/v1/traces": {
    request: "ExportTraceServiceRequest",
    response: "ExportTraceServiceResponse",
    accept(sink, message, encodedBytes) {
      const resourceSpans = (message["resourceSpans"] ?? []) as OtlpTrace["resourceSpans"];
      const { rejectedSpans, errorMessage } = sink.addTraces({ resourceSpans }, encodedBytes);
      if (rejectedSpans === 0) return undefined;
      return { rejectedSpans: String(rejectedSpans), errorMessage };
    },
  },
  // None of OTLP's: spans that have not ended, from our own layer (lib/telemetry/learning/open-spans.ts).
  "/api/open-spans": {
    request: "ExportTraceServiceRequest",
    response: "ExportTraceServiceResponse",
    accept(sink, message, encodedBytes, { searchParams }) {
      if (!sink.addOpenSpans) throw new Refusal(404, "open spans are not taken here");
      const process = searchParams.get("process") ?? "";
      if (!/^[\w-]{1,64}$/.test(process)) throw new Refusal(400, "say which process it is");
      const resourceSpans = (message["resourceSpans"] ?? []) as OtlpTrace["resourceSpans"];
      sink.addOpenSpans(process, { resourceSpans }, encodedBytes);
      return undefined;
    },
  },
  "/v1/metrics": {
    request: "ExportMetricsServiceRequest",
    response: "ExportMetricsServiceResponse",
    accept: (sink, message, encodedBytes) => void sink.addMetrics(message, encodedBytes),
  },
  "/v1/logs": {
    request: "ExportLogsServiceRequest",
    response: "ExportLogsServiceResponse",
    accept: (sink, message, encodedBytes) => void sink.addLogs(message, encodedBytes),
  },
};

/** The request is not taken; the status says whose fault it is. */
class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

function encodingOf(request: Request): OtlpEncoding | undefined {
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  return type === "application/x-protobuf" || type === "application/json" ? type : undefined;
}

async function readBody(request: Request, bytesMax: number): Promise<Uint8Array> {
  const compression = request.headers.get("content-encoding")?.trim().toLowerCase() ?? "identity";
  if (compression !== "identity" && compression !== "gzip") {
    throw new Refusal(415, `unknown content encoding ${compression}`, {
      "Accept-Encoding": "gzip",
    });
  }
  const sent = await readUpTo(request, bytesMax);
  return compression === "gzip" ? unzipUpTo(sent, bytesMax) : sent;
}

/** Counts as it reads: Content-Length is missing from a chunked request. */
async function readUpTo(request: Request, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw tooLarge(bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Stops at the bound, so that a small body cannot unpack into all of the memory. */
async function unzipUpTo(zipped: Uint8Array, bytesMax: number): Promise<Uint8Array> {
  try {
    return await promisify(gunzip)(zipped, { maxOutputLength: bytesMax });
  } catch (error) {
    const tooLong =
      error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
    throw tooLong ? tooLarge(bytesMax) : new Refusal(400, "the body is not valid gzip");
  }
}

function tooLarge(bytesMax: number): Refusal {
  return new Refusal(413, `a body may have ${bytesMax} bytes, unpacked too`);
}

/** google.rpc.Code, which the body of an error carries: INVALID_ARGUMENT is right for all of ours. */
const INVALID_ARGUMENT = 3;

function refuse(refusal: Refusal, encoding: OtlpEncoding | undefined): Response {
  const status = { code: INVALID_ARGUMENT, message: refusal.message };
  const response = answer(refusal.status, "RpcStatus", encoding ?? "application/json", status);
  for (const [name, value] of Object.entries(refusal.headers)) response.headers.set(name, value);
  return response;
}

function answer(
  status: number,
  type: string,
  encoding: OtlpEncoding,
  message: Record<string, unknown>,
): Response {
  const body = encodeOtlp(type, encoding, message);
  return new Response(body, { status, headers: { "Content-Type": encoding } });
}
