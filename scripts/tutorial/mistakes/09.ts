/** Mistakes of stage 09: traces with holes, secrets on spans, and processes that do not end. */
import type { Complaint, Mistake } from "./mistake.ts";

const SHARE = "of the traces that begin here the share is kept that OTEL_TRACES_SAMPLER_ARG says";
const KEPT = "whoever begins a trace decides, for all: kept here even if our share is 0";
const NOT_KEPT = "what is not kept is not kept anywhere, but passed on, and counted";
const TENANT =
  "the tenant travels as baggage, over HTTP and Kafka, and is on every span behind the gateway";
const BAGGAGE = "what else comes with the baggage is passed on, and put on no span";
const QUEUE = "a queue that is full drops spans, and counts them";
const END = "the end of a process is in time, also with a collector that hangs or refuses";

const SAMPLER =
  "sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(SAMPLED_SHARE) }),";

export const bare: Complaint = { failing: SHARE, says: /TraceIdRatioBasedSampler of that share/ };

export const mistakes: readonly Mistake[] = [
  {
    name: "own-decision",
    about: "Each process decides by its own share, whatever the caller decided.",
    edits: [
      {
        file: "tracing.ts",
        find: SAMPLER,
        replace: "sampler: new TraceIdRatioBasedSampler(SAMPLED_SHARE),",
      },
    ],
    failing: KEPT,
    says: /the caller said yes/,
  },
  {
    name: "always-on",
    about: "All is kept, also what the caller does not keep.",
    edits: [
      { file: "tracing.ts", find: SAMPLER, replace: "sampler: new AlwaysOnSampler()," },
      { file: "tracing.ts", find: "  ParentBasedSampler,\n", replace: "  AlwaysOnSampler,\n" },
    ],
    failing: NOT_KEPT,
    says: /the caller said no/,
  },
  {
    name: "not-active",
    about: "The baggage is made, and is not in the active context.",
    edits: [
      {
        file: "tenant.ts",
        find: "return await context.with(carrying, work);",
        replace: "void carrying;\n  return await work();",
      },
    ],
    failing: TENANT,
    says: /baggage: tenant=zwetschge-4711 on the gateway's request/,
  },
  {
    name: "no-processor",
    about: "The tenant travels, and is on no span.",
    edits: [{ file: "tracing.ts", find: "      new TenantProcessor(),\n", replace: "" }],
    failing: TENANT,
    says: /a span processor's onStart/,
  },
  {
    name: "all-baggage",
    about: "All entries of the baggage go onto the spans.",
    edits: [
      {
        file: "tenant.ts",
        find: '    if (value) span.setAttribute("shop.tenant", value.slice(0, CHARS_MAX));\n',
        replace:
          '    if (value) span.setAttribute("shop.tenant", value.slice(0, CHARS_MAX));\n' +
          "    for (const [name, entry] of propagation.getBaggage(parent)?.getAllEntries() ?? []) {\n" +
          "      span.setAttribute(`baggage.${name}`, entry.value);\n" +
          "    }\n",
      },
    ],
    failing: BAGGAGE,
    says: /hollerbusch-0815 on it[^]*no entry of the baggage on a span/,
  },
  {
    name: "any-length",
    about: "The tenant is as long as a caller likes.",
    edits: [
      {
        file: "tenant.ts",
        find: 'span.setAttribute("shop.tenant", value.slice(0, CHARS_MAX))',
        replace: 'span.setAttribute("shop.tenant", value)',
      },
    ],
    failing: BAGGAGE,
    says: /shop\.tenant cut to some length/,
  },
  {
    name: "no-limit",
    about: "An attribute's text has no bound.",
    edits: [
      {
        file: "tracing.ts",
        find: "    spanLimits: { attributeValueLengthLimit: 4_096 },\n",
        replace: "",
      },
    ],
    failing: "no attribute is longer than 4,096 characters",
    says: /url\.path of 6001 characters/,
  },
  {
    name: "uncounted",
    about: "Nobody counts what is dropped.",
    edits: [
      {
        file: "tracing.ts",
        find: "    selfObsMeterProvider: metrics.getMeterProvider(),\n",
        replace: "",
      },
    ],
    failing: QUEUE,
    says: /no metric otel\.sdk\.processor\.span\.processed/,
  },
  {
    name: "metrics-last",
    about: "The tracing is started before the metrics that it is counted by.",
    edits: [
      {
        file: "telemetry.ts",
        find: "  startMetrics(serviceName);\n  startTracing(serviceName);\n",
        replace: "  startTracing(serviceName);\n  startMetrics(serviceName);\n",
      },
    ],
    failing: QUEUE,
    says: /the metrics started before the tracing/,
  },
  {
    name: "flush-each",
    about: "Each span is sent before its work is done.",
    edits: [
      {
        file: "tracing.ts",
        find: "      span.end();\n",
        replace: "      span.end();\n      await flush();\n",
      },
      {
        file: "tracing.ts",
        find: "  atEnd(() => provider.shutdown());\n",
        replace:
          "  atEnd(() => provider.shutdown());\n  flush = () => provider.forceFlush().catch(() => {});\n",
      },
      {
        file: "tracing.ts",
        find: 'export const tracer = trace.getTracer("tutorial");\n',
        replace:
          'export const tracer = trace.getTracer("tutorial");\nlet flush: () => Promise<void> = async () => {};\n',
      },
    ],
    failing: "a collector that hangs, or refuses, makes no request slower",
    says: /the slowest took \d{4,} ms/,
  },
  {
    name: "no-bound",
    about: "The end waits until all is sent, however long that takes.",
    edits: [
      {
        file: "ending.ts",
        find: "await Promise.race([done, Bun.sleep(END_WITHIN_MS)]);",
        replace: "await done;",
      },
    ],
    failing: END,
    says: /was ended by SIGKILL after .* \(the collector hangs\)/,
  },
  {
    name: "first-failure",
    about: "The end breaks off where one signal cannot be sent.",
    edits: [{ file: "ending.ts", find: "Promise.allSettled(", replace: "Promise.all(" }],
    failing: END,
    says: /ended with status [1-9].* \(the collector answers 400\)/,
  },
  {
    name: "no-wait",
    about: "The end does not wait at all.",
    edits: [
      {
        file: "ending.ts",
        find: "await Promise.race([done, Bun.sleep(END_WITHIN_MS)]);",
        replace: "void done;",
      },
    ],
    failing: "with a collector that answers, the end still sends all that is left",
    says: /the spans of gateway/,
  },
  {
    name: "always-three-seconds",
    about: "The end always waits as long as it may.",
    edits: [
      {
        file: "ending.ts",
        find: "await Promise.race([done, Bun.sleep(END_WITHIN_MS)]);",
        replace: "await Promise.all([done, Bun.sleep(END_WITHIN_MS)]);",
      },
    ],
    failing: "with a collector that answers, the end still sends all that is left",
    says: /an end as soon as all is sent/,
  },
];
