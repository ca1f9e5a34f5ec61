/**
 * The trace receiver as a victim: `trace-receiver.ts <port> <file>`.
 *
 * Our own OTLP receiver with a disk behind it: a span is in the file before its export is answered,
 * so that a kill loses nothing that was acknowledged – as with any trace store worth the name.
 */
import { openSync, writeSync } from "node:fs";
import { createOtlpReceiver } from "#lib/embedded/traces/otlp-receiver.ts";
import { spansOf } from "#lib/embedded/traces/otlp.ts";
import { toKeptSpan } from "../kept-span.ts";

const BODY_BYTES_MAX = 16 * 1024 ** 2;
const [, , port, file = ""] = Bun.argv;
const log = openSync(file, "a");

const receive = createOtlpReceiver(
  {
    addTraces(request) {
      const lines = spansOf(request).map((span) => `${JSON.stringify(toKeptSpan(span))}\n`);
      writeSync(log, lines.join(""));
      return { rejectedSpans: 0, errorMessage: "" };
    },
    addMetrics() {},
    addLogs() {},
  },
  BODY_BYTES_MAX,
);
Bun.serve({ hostname: "127.0.0.1", port: Number(port), fetch: receive });
