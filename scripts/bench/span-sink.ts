// What the spans are sent to, a program of its own: an OTLP/HTTP receiver that counts and forgets.
// It writes its address as one line; GET /count answers how many spans have arrived so far.

let spans = 0;

const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  maxRequestBodySize: 64 * 1024 ** 2,
  routes: {
    "/count": () => Response.json(spans),
    "/v1/traces": async (request) => {
      spans += countSpans(await request.bytes());
      return otlpSuccess();
    },
    "/v1/metrics": async (request) => {
      await request.bytes();
      return otlpSuccess();
    },
  },
});
console.log(`http://127.0.0.1:${server.port}`);
process.stdin.resume().on("end", () => process.exit());

function otlpSuccess(): Response {
  return new Response(new Uint8Array(), { headers: { "content-type": "application/x-protobuf" } });
}

/**
 * Counts without decoding: ExportTraceServiceRequest.resource_spans (1) holds
 * ResourceSpans.scope_spans (2), which holds ScopeSpans.spans (2).
 */
function countSpans(request: Uint8Array): number {
  let count = 0;
  eachField(request, 0, request.length, 1, (from, to) =>
    eachField(request, from, to, 2, (inner, innerTo) =>
      eachField(request, inner, innerTo, 2, () => count++),
    ),
  );
  return count;
}

/** Calls `take` for each length-delimited field with that number. */
function eachField(
  bytes: Uint8Array,
  from: number,
  to: number,
  wanted: number,
  take: (from: number, to: number) => void,
): void {
  let at = from;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < to) {
    const tag = varint();
    if ((tag & 7) !== 2) throw new Error(`unexpected wire type ${tag & 7}`);
    const end = varint() + at;
    if (tag >> 3 === wanted) take(at, end);
    at = end;
  }
}
