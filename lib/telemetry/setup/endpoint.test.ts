import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { diag } from "@opentelemetry/api";
import { endpointOf } from "./endpoint.ts";

let warnings: string[];
let warn: ReturnType<typeof spyOn>;
beforeEach(() => {
  warnings = [];
  warn = spyOn(diag, "warn").mockImplementation((text) => void warnings.push(text));
});
afterEach(() => warn.mockRestore());

test.each([
  [{}, "http://localhost:4318/v1/metrics"],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: " " }, "http://localhost:4318/v1/metrics"],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "https://all" }, "https://all/v1/metrics"],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "https://all/below/" }, "https://all/below/v1/metrics"],
  [{ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://own/as/it/is" }, "http://own/as/it/is"],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://other" }, "http://localhost:4318/v1/metrics"],
])("%p sends metrics to %s", (env, url) => {
  expect(endpointOf(env, "METRICS").href).toBe(url);
  expect(warnings).toEqual([]);
});

test.each(["localhost:4318", "no URL", "ftp://user:secret@host", "grpc://host:4317"])(
  "%s is told without its text and left out",
  (text) => {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://all",
      OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: text,
    };
    expect(endpointOf(env, "LOGS").href).toBe("http://all/v1/logs");
    expect(endpointOf({ OTEL_EXPORTER_OTLP_ENDPOINT: text }, "LOGS").port).toBe("4318");
    expect(warnings).toEqual([
      "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT is no HTTP URL and is left out",
      "OTEL_EXPORTER_OTLP_ENDPOINT is no HTTP URL and is left out",
    ]);
  },
);
