/** Odd values of the standard variables: a service starts with them, tells its spans, and stops. */
import { afterEach, describe, expect, test } from "bun:test";
import { startTraceStore } from "#lib/embedded/traces/index.ts";
import { recordedSpans } from "../support/conventions/recorded.ts";
import { startServiceProcess } from "../support/service-process.ts";
import { until } from "../support/until.ts";

const TEST_TIMEOUT_MS = 30_000;

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const run of undo.splice(0).toReversed()) await run();
});

/** A mail service of its own that exports to a store of its own, and takes one mail. */
async function mailing(env: Record<string, string>) {
  const store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
  undo.push(() => store.stop());
  const email = await startServiceProcess("email", {
    OTEL_EXPORTER_OTLP_ENDPOINT: store.otlpUrl,
    OTEL_BSP_SCHEDULE_DELAY: "20",
    EMAIL_DELAY_MS: "0-0",
    ...env,
  });
  undo.push(() => email.stop());
  const response = await fetch(`${email.url}/send`, {
    method: "POST",
    headers: { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" },
    body: JSON.stringify({ to: "a@example.com", subject: "s", body: "b" }),
  });
  expect(response.status).toBe(200);
  return { email, spans: () => store.traces().flatMap((trace) => recordedSpans(trace)) };
}

/** Sends one mail. @returns what was seen until the service had stopped, its span at least */
async function sendOneMail(env: Record<string, string>) {
  const { email, spans } = await mailing(env);
  const [span] = await until("its span has arrived", () => spans().length > 0 && spans());
  await email.stop();
  return { span, exitCode: await email.exited, lines: email.lines };
}

/** What a line says of a variable. */
const saysOf = (name: string) => (line: Record<string, unknown>) =>
  line["level"] === "warn" && String(line["message"]).startsWith(`${name}:`);

describe.each([
  ["OTEL_METRIC_EXPORT_INTERVAL", "1000"],
  ["OTEL_METRIC_EXPORT_TIMEOUT", "90000"],
  ["OTEL_METRIC_EXPORT_INTERVAL", "99999999999"],
  ["OTEL_METRIC_EXPORT_INTERVAL", "soon"],
  ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0"],
  ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1"],
  ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0.5"],
  ["OTEL_BSP_MAX_QUEUE_SIZE", "-5"],
  ["OTEL_BSP_EXPORT_TIMEOUT", "99999999999"],
  ["OTEL_PROPAGATORS", ""],
  ["OTEL_PROPAGATORS", "TraceContext"],
  ["OTEL_TRACES_EXPORTER", ""],
  ["OTEL_TRACES_EXPORTER", "OTLP"],
  ["OTEL_TRACES_SAMPLER", ""],
  ["OTEL_TRACES_SAMPLER", "ALWAYS_ON"],
  ["OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"],
  ["OTEL_SDK_DISABLED", "False"],
  ["OTEL_SERVICE_NAME", ""],
])("%s=%s", (name, value) => {
  test(
    "a request makes its span below its caller's, and SIGTERM ends the service with 0",
    async () => {
      const { span, exitCode, lines } = await sendOneMail({ [name]: value });
      expect(span).toMatchObject({ name: "POST /send", parentSpanId: "00f067aa0ba902b7" });
      expect(exitCode).toBe(0);
      expect(new Set(lines.map((line) => line["service.name"]))).toEqual(new Set(["email"]));
    },
    TEST_TIMEOUT_MS,
  );
});

test(
  "a name in OTEL_RESOURCE_ATTRIBUTES stands on log lines as well",
  async () => {
    const { lines } = await sendOneMail({ OTEL_RESOURCE_ATTRIBUTES: "service.name=mail" });
    expect(new Set(lines.map((line) => line["service.name"]))).toEqual(new Set(["mail"]));
  },
  TEST_TIMEOUT_MS,
);

test.each([
  ["OTEL_TRACES_EXPORTER", "jaeger"],
  ["OTEL_TRACES_EXPORTER", "console"],
  ["OTEL_TRACES_EXPORTER", "none,otlp"],
  ["OTEL_METRICS_EXPORTER", "statsd"],
  ["OTEL_LOGS_EXPORTER", "syslog"],
  ["OTEL_SDK_DISABLED", "1"],
  ["OTEL_PROPAGATORS", "b3"],
  ["OTEL_TRACES_SAMPLER", "jaeger_remote"],
  ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"],
  ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd"],
  ["OTEL_SPAN_LINK_COUNT_LIMIT", "many"],
  ["OTEL_LOG_LEVEL", "loud"],
])(
  "%s=%s is told once, by name, and the default is used",
  async (name, value) => {
    const { span, exitCode, lines } = await sendOneMail({ [name]: value });
    expect(span).toMatchObject({ name: "POST /send", parentSpanId: "00f067aa0ba902b7" });
    expect(exitCode).toBe(0);
    expect(lines.filter((line) => JSON.stringify(line).includes(name))).toHaveLength(1);
    expect(lines.filter(saysOf(name))).toHaveLength(1);
  },
  TEST_TIMEOUT_MS,
);

test.each([
  ["OTEL_TRACES_EXPORTER", "NONE"],
  ["OTEL_TRACES_EXPORTER", "none"],
  ["OTEL_SDK_DISABLED", "TRUE"],
  ["OTEL_TRACES_SAMPLER", "Always_Off"],
])(
  "%s=%s exports no span, and says nothing of it",
  async (name, value) => {
    const { email, spans } = await mailing({ [name]: value });
    // What it has made it sends before it stops.
    await email.stop();
    expect(await email.exited).toBe(0);
    expect(spans()).toEqual([]);
    expect(email.lines.filter(({ level }) => level === "warn")).toEqual([]);
  },
  TEST_TIMEOUT_MS,
);
