/** Where spans go: the SDK's own OTLP/HTTP transport, with its retries and limits, and our encoder. */
import { OTLPExporterBase } from "@opentelemetry/otlp-exporter-base";
import {
  convertLegacyHttpOptions,
  createOtlpHttpExportDelegate,
} from "@opentelemetry/otlp-exporter-base/node-http";
import {
  ProtobufTraceSerializer,
  TraceExporterMetricsHelper,
} from "@opentelemetry/otlp-transformer";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base";
import { encodeSpans } from "./span-encoder.ts";

/**
 * Makes the exporter. Address, headers, timeout and compression come from OTEL_EXPORTER_OTLP_* and
 * OTEL_EXPORTER_OTLP_TRACES_*. It is OTLPTraceExporter but for the encoder: put that in its place to
 * have one file less.
 */
export function createSpanExporter(): SpanExporter {
  const contentType = { "Content-Type": "application/x-protobuf" };
  return new OTLPExporterBase<ReadableSpan[]>(
    createOtlpHttpExportDelegate(
      convertLegacyHttpOptions({}, "TRACES", "v1/traces", contentType),
      { ...ProtobufTraceSerializer, serializeRequest: encodeSpans },
      "otlp_http_span_exporter",
      TraceExporterMetricsHelper,
      undefined,
    ),
  );
}
