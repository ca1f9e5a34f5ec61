import { describe, expect, test } from "bun:test";
import { DiagLogLevel } from "@opentelemetry/api";
import { compressionOf, isTrue, readEnvironment } from "./environment.ts";

const ALL = { TRACES: true, METRICS: true, LOGS: false };

test("nothing set, or everything empty, is the default without a word", () => {
  const empty = Object.fromEntries([...readEnvironment({}).names].map((name) => [name, " "]));
  expect(Object.keys(empty).length).toBeGreaterThan(15);
  for (const env of [{}, empty]) {
    const settings = readEnvironment(env);
    expect(settings).toMatchObject({
      problems: [],
      exportsOtlp: ALL,
      diagLevel: DiagLogLevel.WARN,
    });
    expect(String(settings.sampler)).toStartWith("ParentBased{root=AlwaysOnSampler");
    expect(new Set(Object.values(settings.spanLimits))).toEqual(new Set([128]));
  }
});

describe("an exporter", () => {
  test.each([
    ["OTEL_TRACES_EXPORTER", "NONE", { ...ALL, TRACES: false }],
    ["OTEL_TRACES_EXPORTER", " None ", { ...ALL, TRACES: false }],
    ["OTEL_TRACES_EXPORTER", "OTLP", ALL],
    ["OTEL_METRICS_EXPORTER", "none", { ...ALL, METRICS: false }],
    ["OTEL_METRICS_EXPORTER", "prometheus", { ...ALL, METRICS: false }],
    ["OTEL_METRICS_EXPORTER", "otlp,Prometheus", ALL],
    ["OTEL_LOGS_EXPORTER", "Otlp", { ...ALL, LOGS: true }],
    ["OTEL_LOGS_EXPORTER", "console", ALL],
    ["OTEL_LOGS_EXPORTER", "console,otlp", { ...ALL, LOGS: true }],
  ])("%s=%s is known, in any letters", (name, value, exportsOtlp) => {
    expect(readEnvironment({ [name]: value })).toMatchObject({ exportsOtlp, problems: [] });
  });

  test.each([
    [
      "OTEL_TRACES_EXPORTER",
      "jaeger",
      ALL,
      'OTEL_TRACES_EXPORTER: "jaeger" is not known here; otlp is used',
    ],
    [
      "OTEL_TRACES_EXPORTER",
      "console",
      ALL,
      'OTEL_TRACES_EXPORTER: "console" is not known here; otlp is used',
    ],
    [
      "OTEL_TRACES_EXPORTER",
      "otlp,zipkin",
      ALL,
      'OTEL_TRACES_EXPORTER: "zipkin" is not known here; otlp is used',
    ],
    [
      "OTEL_TRACES_EXPORTER",
      "none,otlp",
      ALL,
      'OTEL_TRACES_EXPORTER: "none" beside others contradicts them; otlp is used',
    ],
    [
      "OTEL_METRICS_EXPORTER",
      "console",
      ALL,
      'OTEL_METRICS_EXPORTER: "console" is not known here; otlp is used',
    ],
    [
      "OTEL_LOGS_EXPORTER",
      "file",
      ALL,
      'OTEL_LOGS_EXPORTER: "file" is not known here; none is used',
    ],
    [
      "OTEL_LOGS_EXPORTER",
      "none,otlp",
      ALL,
      'OTEL_LOGS_EXPORTER: "none" beside others contradicts them; none is used',
    ],
  ])("%s=%s is told of, and the default is used", (name, value, exportsOtlp, problem) => {
    expect(readEnvironment({ [name]: value })).toMatchObject({ exportsOtlp, problems: [problem] });
  });
});

describe("a sampler", () => {
  test.each([
    ["always_on", undefined, "AlwaysOnSampler", []],
    ["ALWAYS_OFF", undefined, "AlwaysOffSampler", []],
    ["TraceIdRatio", "0.25", "TraceIdRatioBased{0.25}", []],
    ["traceidratio", undefined, "TraceIdRatioBased{1}", []],
    ["traceidratio", "0", "TraceIdRatioBased{0}", []],
    ["parentbased_always_off", "x", "ParentBased{root=AlwaysOffSampler", []],
    ["parentbased_traceidratio", "0.5", "ParentBased{root=TraceIdRatioBased{0.5}", []],
    [
      "traceidratio",
      "2",
      "TraceIdRatioBased{1}",
      ['OTEL_TRACES_SAMPLER_ARG: "2" is no number from 0 to 1; 1 is used'],
    ],
    [
      "traceidratio",
      "-0.1",
      "TraceIdRatioBased{1}",
      ['OTEL_TRACES_SAMPLER_ARG: "-0.1" is no number from 0 to 1; 1 is used'],
    ],
    [
      "traceidratio",
      "half",
      "TraceIdRatioBased{1}",
      ['OTEL_TRACES_SAMPLER_ARG: "half" is no number from 0 to 1; 1 is used'],
    ],
    [
      "jaeger_remote",
      "x=1",
      "ParentBased{root=AlwaysOnSampler",
      ['OTEL_TRACES_SAMPLER: "jaeger_remote" is not known here; parentbased_always_on is used'],
    ],
  ])("%s with %p is %s", (name, arg, sampler, problems) => {
    const settings = readEnvironment({ OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: arg });
    expect(String(settings.sampler)).toStartWith(sampler);
    expect(settings.problems).toEqual(problems);
  });
});

test("telemetry is switched off by true in any letters, and by nothing else", () => {
  expect(["true", "TRUE", " True "].map(isTrue)).toEqual([true, true, true]);
  expect(["1", "yes", "on", "false", "", undefined].map(isTrue)).not.toContain(true);
  expect(readEnvironment({ OTEL_SDK_DISABLED: "FALSE" }).problems).toEqual([]);
  expect(readEnvironment({ OTEL_SDK_DISABLED: "1" }).problems).toEqual([
    'OTEL_SDK_DISABLED: "1" is not known here; false is used',
  ]);
});

test.each([
  ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"],
  ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf"],
  ["OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "none"],
  ["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "brotli", "none"],
  ["OTEL_LOG_LEVEL", "loud", "warn"],
])("%s=%s is told of once, by name", (name, value, used) => {
  expect(readEnvironment({ [name]: value }).problems).toEqual([
    `${name}: "${value}" is not known here; ${used} is used`,
  ]);
});

test("a signal's own compression goes before that of all, and what is not known before nothing", () => {
  const all = { OTEL_EXPORTER_OTLP_COMPRESSION: "GZIP" };
  expect(compressionOf(all, "TRACES")).toBe("gzip");
  expect(compressionOf({ ...all, OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: "None" }, "TRACES")).toBe(
    "none",
  );
  expect(compressionOf({ ...all, OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: "zstd" }, "TRACES")).toBe(
    "gzip",
  );
  expect(compressionOf({}, "TRACES")).toBe("none");
});

test("limits are whole numbers from 0 on", () => {
  const { spanLimits, problems } = readEnvironment({
    OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: "-1",
    OTEL_ATTRIBUTE_COUNT_LIMIT: "9",
    OTEL_SPAN_EVENT_COUNT_LIMIT: "0",
    OTEL_SPAN_LINK_COUNT_LIMIT: "many",
    OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT: "3",
  });
  expect(spanLimits).toEqual({
    attributeCountLimit: 9,
    eventCountLimit: 0,
    linkCountLimit: 128,
    attributePerEventCountLimit: 3,
    attributePerLinkCountLimit: 128,
  });
  expect(problems.map((problem) => problem.split(":")[0])).toEqual([
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
  ]);
});

test("OTEL_LOG_LEVEL says how much of the SDK's own words is told", () => {
  expect(readEnvironment({ OTEL_LOG_LEVEL: "DEBUG" }).diagLevel).toBe(DiagLogLevel.DEBUG);
  expect(readEnvironment({ OTEL_LOG_LEVEL: "none" }).diagLevel).toBe(DiagLogLevel.NONE);
});
