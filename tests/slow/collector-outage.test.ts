/** Telemetry never changes what a request answers: a service beside collectors that fail. */
import { afterEach, describe, expect, test } from "bun:test";
import { startTraceStore } from "#lib/embedded/traces/index.ts";
import { startFakeCollector, type CollectorFault } from "../support/conventions/fake-collector.ts";
import { recordedSpans } from "../support/conventions/recorded.ts";
import { startServiceProcess, type ServiceProcess } from "../support/service-process.ts";
import { until } from "../support/until.ts";

const TEST_TIMEOUT_MS = 60_000;
/** The contract's bound for a stop. */
const STOP_TIMEOUT_MS = 8_000;
const QUEUE_MAX = 20;
const BATCH_MAX = 10;

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const run of undo.splice(0).toReversed()) await run();
});

/** The e-mail service needs nothing but a collector. */
async function startEmail(env: Record<string, string>): Promise<ServiceProcess> {
  const service = await startServiceProcess("email", {
    EMAIL_DELAY_MS: "0-0",
    OTEL_BSP_SCHEDULE_DELAY: "20",
    OTEL_BSP_MAX_QUEUE_SIZE: String(QUEUE_MAX),
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: String(BATCH_MAX),
    OTEL_EXPORTER_OTLP_TIMEOUT: "300",
    OTEL_METRIC_EXPORT_INTERVAL: "200",
    OTEL_METRIC_EXPORT_TIMEOUT: "200",
    ...env,
  });
  undo.push(() => service.stop());
  return service;
}

async function startCollector(fault: CollectorFault) {
  const collector = startFakeCollector(fault);
  undo.push(() => collector.stop());
  return collector;
}

async function sendMails(service: ServiceProcess, count: number): Promise<string[]> {
  return await Promise.all(
    Array.from({ length: count }, async () => {
      const response = await fetch(`${service.url}/send`, {
        method: "POST",
        body: JSON.stringify({ to: "a@example.com", subject: "s", body: "b" }),
      });
      return `${response.status} ${await response.text()}`;
    }),
  );
}

/** otel.sdk.processor.span.processed by error.type, "" for what was exported. */
async function processed(service: ServiceProcess): Promise<Record<string, number>> {
  const text = await (await fetch(`${service.url}/metrics`)).text();
  const counts: Record<string, number> = {};
  for (const line of text.split("\n")) {
    const [, labels, value] =
      /^otel_sdk_processor_span_processed_total\{(.*)\} (\d+)$/.exec(line) ?? [];
    if (labels === undefined) continue;
    counts[/error_type="([^"]*)"/.exec(labels)?.[1] ?? ""] = Number(value);
  }
  return counts;
}

const sum = (counts: Record<string, number>) =>
  Object.values(counts).reduce((total, count) => total + count, 0);

const FAULTS: [what: string, fault: CollectorFault][] = [
  ["is down", "down"],
  ["refuses with 400", { status: 400 }],
  ["is unavailable (503, Retry-After)", { status: 503, headers: { "retry-after": "1" } }],
  ["never answers", "hanging"],
  ["answers after a second", { status: 200, delayMs: 1_000 }],
  ["answers with garbage", { status: 200, body: "<html>not OTLP</html>" }],
];

describe.each(FAULTS)("while the collector %s", (_, fault) => {
  test(
    "requests get the same answers, and every span is exported or counted as lost",
    async () => {
      const collector = await startCollector(fault);
      const email = await startEmail({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
      const answers = [];
      for (let round = 0; round < 5; round++) answers.push(...(await sendMails(email, 20)));
      expect(new Set(answers)).toEqual(new Set(['200 {"status":"sent"}']));
      const counts = await until("every span is accounted for", async () => {
        const now = await processed(email);
        return sum(now) === answers.length && now;
      });
      const isLossless = typeof fault === "object" && fault.status === 200 && !fault.delayMs;
      const { "": exported = 0, ...lost } = counts;
      if (isLossless) expect(exported).toBeGreaterThan(0);
      else expect(sum(lost)).toBeGreaterThan(0);
      // What it says it says once; counting is the metric's business.
      const said = email.lines
        .map(({ message }) => message)
        .filter((message) => message.startsWith("telemetry:"))
        .map((message) => message.replace(/\d+/g, "N"));
      expect(said).toEqual([...new Set(said)]);
      if (!isLossless) expect(said.length).toBeGreaterThan(0);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a stop ends with status 0 within its limit",
    async () => {
      const collector = await startCollector(fault);
      const email = await startEmail({
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_EXPORTER_OTLP_TIMEOUT: "30000",
      });
      await sendMails(email, 20);
      email.kill("SIGTERM");
      const ended = await Promise.race([email.exited, Bun.sleep(STOP_TIMEOUT_MS)]);
      expect(ended).toBe(0);
    },
    TEST_TIMEOUT_MS,
  );
});

test(
  "a full queue drops spans, counts them as queue_full and says so once",
  async () => {
    const collector = await startCollector("hanging");
    const email = await startEmail({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      // Longer than all requests take, so that the first batch is under way until they are done.
      OTEL_EXPORTER_OTLP_TIMEOUT: "5000",
      // A batch goes when it is full and never by the clock: each has BATCH_MAX spans.
      OTEL_BSP_SCHEDULE_DELAY: "60000",
    });
    await sendMails(email, 100);
    const { queue_full: dropped = 0 } = await processed(email);
    // One batch under way, one queue behind it.
    expect(dropped).toBe(100 - QUEUE_MAX - BATCH_MAX);
    const metrics = await (await fetch(`${email.url}/metrics`)).text();
    expect(metrics).toMatch(
      new RegExp(String.raw`^otel_sdk_processor_span_queue_size\{.*\} ${QUEUE_MAX}$`, "m"),
    );
    await until("room in the queue", async () => sum(await processed(email)) > dropped);
    await sendMails(email, 1);
    const said = () =>
      email.lines.filter(({ message }) => /^telemetry: .*(dropp|queue)/i.test(message));
    await until("it is said", () => said().length > 0);
    expect(said()).toHaveLength(1);
  },
  TEST_TIMEOUT_MS,
);

test(
  "a collector that comes back gets spans again",
  async () => {
    const collector = await startCollector({ status: 400 });
    const email = await startEmail({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    await sendMails(email, 1);
    await until("a span is lost", async () => sum(await processed(email)) === 1);
    collector.become({ status: 200 });
    await sendMails(email, 1);
    await until("a span is exported", async () => (await processed(email))[""] === 1);
  },
  TEST_TIMEOUT_MS,
);

test(
  "exporting traces, metrics and logs makes no spans of itself",
  async () => {
    const store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
    undo.push(() => store.stop());
    const email = await startEmail({
      OTEL_EXPORTER_OTLP_ENDPOINT: store.otlpUrl,
      OTEL_LOGS_EXPORTER: "otlp",
      OTEL_METRIC_EXPORT_INTERVAL: "50",
      OTEL_METRIC_EXPORT_TIMEOUT: "50",
    });
    await sendMails(email, 3);
    await until("metrics were exported some times", () => store.metrics().length >= 5);
    await email.stop();
    const spans = store.traces().flatMap((trace) => recordedSpans(trace));
    expect(spans.map(({ name }) => name)).toEqual(["POST /send", "POST /send", "POST /send"]);
  },
  TEST_TIMEOUT_MS,
);

test(
  "OTEL_LOGS_EXPORTER=otlp sends each line to the collector with its request's trace and span id",
  async () => {
    const store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
    undo.push(() => store.stop());
    const email = await startEmail({
      OTEL_EXPORTER_OTLP_ENDPOINT: store.otlpUrl,
      OTEL_LOGS_EXPORTER: "otlp",
      OTEL_BLRP_SCHEDULE_DELAY: "20",
    });
    await sendMails(email, 1);
    await email.stop();
    const [span] = store.traces().flatMap((trace) => recordedSpans(trace));
    const records = store.logs().flatMap(logRecords);
    const sent = records.find(({ body }) => body?.stringValue === "e-mail sent");
    expect(sent).toMatchObject({
      traceId: span?.traceId,
      spanId: span?.spanId,
      severityText: "INFO",
      severityNumber: 9,
    });
    expect(records.map(({ body }) => body?.stringValue)).toContain("listening");
    // The same line on standard output.
    const line = email.lines.find(({ message }) => message === "e-mail sent");
    expect(line).toMatchObject({
      trace_id: span?.traceId,
      span_id: span?.spanId,
      trace_flags: "01",
      level: "info",
      "service.name": "email",
    });
  },
  TEST_TIMEOUT_MS,
);

interface LogRecord {
  body?: { stringValue?: string };
  traceId?: string;
  spanId?: string;
  severityText?: string;
  severityNumber?: number;
}

function logRecords(request: Record<string, unknown>): LogRecord[] {
  const { resourceLogs = [] } = request as {
    resourceLogs?: { scopeLogs?: { logRecords?: LogRecord[] }[] }[];
  };
  return resourceLogs.flatMap(({ scopeLogs = [] }) =>
    scopeLogs.flatMap(({ logRecords: records = [] }) => records),
  );
}

describe("the standard variables", () => {
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  const sampledIn = `00-${traceId}-00f067aa0ba902b7-01`;
  const unsampledIn = `00-${traceId}-00f067aa0ba902b7-00`;

  /** The number of spans that requests with and without a parent make. */
  async function spansWith(env: Record<string, string>) {
    const store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
    undo.push(() => store.stop());
    const email = await startEmail({ OTEL_EXPORTER_OTLP_ENDPOINT: store.otlpUrl, ...env });
    for (const traceparent of [undefined, sampledIn, unsampledIn]) {
      const response = await fetch(`${email.url}/send`, {
        method: "POST",
        headers: traceparent ? { traceparent } : {},
        body: JSON.stringify({ to: "a@example.com", subject: "s", body: "b" }),
      });
      expect(response.status).toBe(200);
    }
    await email.stop();
    const spans = store.traces().flatMap((trace) => recordedSpans(trace));
    return {
      roots: spans.filter(({ parentSpanId }) => parentSpanId === "").length,
      children: spans.filter(({ parentSpanId }) => parentSpanId !== "").length,
      email,
      store,
    };
  }

  test.each([
    [{}, { roots: 1, children: 1 }],
    [{ OTEL_TRACES_SAMPLER: "parentbased_always_on" }, { roots: 1, children: 1 }],
    [{ OTEL_TRACES_SAMPLER: "parentbased_always_off" }, { roots: 0, children: 1 }],
    [{ OTEL_TRACES_SAMPLER: "always_on" }, { roots: 1, children: 2 }],
    [{ OTEL_TRACES_SAMPLER: "always_off" }, { roots: 0, children: 0 }],
    [
      { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "0" },
      { roots: 0, children: 0 },
    ],
    [
      { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "1" },
      { roots: 1, children: 1 },
    ],
    [{ OTEL_TRACES_SAMPLER: "no-such-sampler" }, { roots: 1, children: 1 }],
    [{ OTEL_SDK_DISABLED: "true" }, { roots: 0, children: 0 }],
    [{ OTEL_TRACES_EXPORTER: "none" }, { roots: 0, children: 0 }],
    [{ OTEL_PROPAGATORS: "none" }, { roots: 3, children: 0 }],
    [{ OTEL_PROPAGATORS: "baggage" }, { roots: 3, children: 0 }],
    [{ OTEL_PROPAGATORS: "tracecontext" }, { roots: 1, children: 1 }],
  ] as [Record<string, string>, { roots: number; children: number }][])(
    "%o: spans as it says, requests as ever",
    async (env, wanted) => {
      const { roots, children } = await spansWith(env);
      expect({ roots, children }).toEqual(wanted);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "an unknown propagator and malformed values are reported in the log and left out",
    async () => {
      const { roots, children, email, store } = await spansWith({
        OTEL_PROPAGATORS: "tracecontext, b3",
        OTEL_RESOURCE_ATTRIBUTES: "team=a,broken",
        OTEL_METRIC_EXPORT_INTERVAL: "soon",
        OTEL_METRIC_EXPORT_TIMEOUT: "-1",
        OTEL_BSP_SCHEDULE_DELAY: "many",
        OTEL_TRACES_SAMPLER: "sometimes",
      });
      expect({ roots, children }).toEqual({ roots: 1, children: 1 });
      const log = email.lines.map((line) => JSON.stringify(line)).join("\n");
      for (const name of [
        "OTEL_PROPAGATORS",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_METRIC_EXPORT_INTERVAL",
        "OTEL_METRIC_EXPORT_TIMEOUT",
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_TRACES_SAMPLER",
      ]) {
        expect(log).toContain(name);
      }
      const [span] = store.traces().flatMap((trace) => recordedSpans(trace));
      expect(span?.resource["team"]).toBeUndefined();
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES stand on spans and log lines",
    async () => {
      const { email, store } = await spansWith({
        OTEL_SERVICE_NAME: "post-office",
        OTEL_RESOURCE_ATTRIBUTES:
          "deployment.environment.name=test,team=a%2Cb,service.name=overruled",
      });
      const [span] = store.traces().flatMap((trace) => recordedSpans(trace));
      expect(span?.resource).toMatchObject({
        "service.name": { value: "post-office" },
        "deployment.environment.name": { value: "test" },
        team: { value: "a,b" },
      });
      expect(new Set(email.lines.map((line) => line["service.name"]))).toEqual(
        new Set(["post-office"]),
      );
    },
    TEST_TIMEOUT_MS,
  );
});

/** A list header of so many members. */
function many(count: number): string {
  return Array.from({ length: count }, (_, n) => `k${n}=v`).join(",");
}

describe("what a caller sends never harms", () => {
  const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
  const GOOD = `00-${TRACE_ID}-00f067aa0ba902b7-01`;
  // What W3C trace context says: a malformed traceparent is ignored together with tracestate.
  const CASES: [what: string, headers: [string, string][], isChild: boolean][] = [
    ["a good traceparent", [["traceparent", GOOD]], true],
    ["a future version", [["traceparent", `cc-${GOOD.slice(3)}-what-else`]], true],
    ["version ff", [["traceparent", `ff-${GOOD.slice(3)}`]], false],
    ["version 00 with more behind", [["traceparent", `${GOOD}-what-else`]], false],
    ["upper-case hex", [["traceparent", GOOD.toUpperCase()]], false],
    ["a zero trace id", [["traceparent", `00-${"0".repeat(32)}-00f067aa0ba902b7-01`]], false],
    ["a zero span id", [["traceparent", `00-${TRACE_ID}-${"0".repeat(16)}-01`]], false],
    ["no hex", [["traceparent", `00-${"z".repeat(32)}-00f067aa0ba902b7-01`]], false],
    ["an oversized one", [["traceparent", GOOD + "0".repeat(4_000)]], false],
    ["an empty one", [["traceparent", ""]], false],
    [
      "two of them",
      [
        ["traceparent", GOOD],
        ["traceparent", GOOD.replace("4bf9", "5bf9")],
      ],
      false,
    ],
    [
      "a tracestate of 32 members",
      [
        ["traceparent", GOOD],
        ["tracestate", many(32)],
      ],
      true,
    ],
    [
      "a tracestate of 33 members",
      [
        ["traceparent", GOOD],
        ["tracestate", many(33)],
      ],
      true,
    ],
    [
      "a malformed tracestate",
      [
        ["traceparent", GOOD],
        ["tracestate", "=,;;=,A=B=C"],
      ],
      true,
    ],
    ["a baggage of 181 members", [["baggage", many(181)]], false],
    ["a baggage of 9 KiB", [["baggage", `big=${"v".repeat(9_000)}`]], false],
    ["a malformed baggage", [["baggage", ";;=%ZZ,%,=x"]], false],
  ];

  test(
    "each is answered as ever, and continues the caller's trace only where its traceparent is good",
    async () => {
      const store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
      undo.push(() => store.stop());
      const email = await startEmail({ OTEL_EXPORTER_OTLP_ENDPOINT: store.otlpUrl });
      const outcomes = [];
      for (const [what, headers] of CASES) {
        const before = store.traces().flatMap((trace) => recordedSpans(trace));
        const known = new Set(before.map(({ spanId }) => spanId));
        const response = await fetch(`${email.url}/send`, {
          method: "POST",
          headers,
          body: JSON.stringify({ to: "a@example.com", subject: "s", body: "b" }),
        });
        const span = await until(`the span of ${what}`, () =>
          store
            .traces()
            .flatMap((trace) => recordedSpans(trace))
            .find(({ spanId }) => !known.has(spanId)),
        );
        outcomes.push({ what, status: response.status, isChild: span.traceId === TRACE_ID });
      }
      expect(outcomes).toEqual(CASES.map(([what, , isChild]) => ({ what, status: 200, isChild })));
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "whoever varies path, method, host and headers adds no series to the metrics",
    async () => {
      const email = await startEmail({
        OTEL_TRACES_EXPORTER: "none",
        OTEL_METRICS_EXPORTER: "none",
      });
      const attack = async (n: number) => {
        await fetch(`${email.url}/made-up/${n}?q=${n}`, {
          headers: { host: `host-${n}.example`, "user-agent": `agent ${n}` },
        });
        await fetch(`${email.url}/send`, { method: "PROPFIND" });
        await fetch(`${email.url}/send`, { method: ["MKCOL", "LOCK", "SEARCH"][n % 3] ?? "" });
        await fetch(`${email.url}/send`, { method: "POST", body: `{"to":"${n}"}` });
      };
      const series = async () => {
        const text = await (await fetch(`${email.url}/metrics`)).text();
        return text
          .split("\n")
          .filter((line) => line !== "" && !line.startsWith("#"))
          .map((line) => line.slice(0, line.lastIndexOf(" ")))
          .sort();
      };
      for (let n = 0; n < 3; n++) await attack(n);
      const before = await series();
      for (let n = 3; n < 40; n++) await attack(n);
      expect(await series()).toEqual(before);
      expect(before.join("\n")).not.toMatch(/made-up|host-\d|agent \d|PROPFIND|MKCOL/);
    },
    TEST_TIMEOUT_MS,
  );
});
