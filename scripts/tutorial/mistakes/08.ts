/** Mistakes of stage 08: numbers that say nothing, and series without end. */
import type { Complaint, Mistake } from "./mistake.ts";

const COUNTED = "a request that comes in is counted, in seconds, by its route";
const BUCKETS = "the buckets tell fast requests from slow ones";
const SERIES = "what callers make up makes no series";
const LINES = "each log line of an order has the ids of the span it was written in";
const SENT = "a request that is sent is counted, too, also where nobody answers";

export const bare: Complaint = { failing: COUNTED, says: /a MeterProvider with a reader/ };

export const mistakes: readonly Mistake[] = [
  {
    name: "by-path",
    about: "Requests are counted by their path.",
    edits: [
      {
        file: "http-server.ts",
        find: '...(route !== undefined && { "http.route": route }),',
        replace: '"http.route": route, "url.path": pathname,',
      },
    ],
    failing: SERIES,
    says: /1103 requests in 110\d series/,
  },
  {
    name: "any-method",
    about: "Requests are counted by whatever method they come with.",
    edits: [
      {
        file: "methods.ts",
        find: 'KNOWN.has(method) ? method : "_OTHER"',
        replace: "method",
      },
    ],
    failing: SERIES,
    says: /_OTHER for a method .* such as PURGE, PROPFIND, LINK|at most 5 series/,
  },
  {
    name: "undefined-route",
    about: "Where there is no route, http.route is undefined and not left out.",
    edits: [
      {
        file: "http-server.ts",
        find: '...(route !== undefined && { "http.route": route }),',
        replace: '"http.route": route,',
      },
    ],
    failing: COUNTED,
    says: /leave it out/,
  },
  {
    name: "milliseconds",
    about: "Durations are recorded in milliseconds.",
    edits: [
      {
        file: "metrics.ts",
        find: "(performance.now() - startedMs) / 1000",
        replace: "performance.now() - startedMs",
      },
    ],
    failing: COUNTED,
    says: /seconds: 300 ms are 0\.3/,
  },
  {
    name: "default-buckets",
    about: "The instrument has no boundaries of its own.",
    edits: [
      {
        file: "metrics.ts",
        find: "    advice: { explicitBucketBoundaries: BUCKETS_SECONDS },\n",
        replace: "",
      },
    ],
    failing: BUCKETS,
    says: /all requests so far are in 1 of the buckets/,
  },
  {
    name: "too-early",
    about: "The instrument is made when the module is loaded, before there is a provider.",
    edits: [
      {
        file: "metrics.ts",
        find: "const durations = new Map<string, Histogram>();",
        replace:
          'const early = metrics.getMeter("tutorial").createHistogram("http.server.request.duration");\n' +
          'const durations = new Map<string, Histogram>([["http.server.request.duration", early]]);',
      },
    ],
    failing: COUNTED,
    says: /no such metric[^]*a histogram made after it/,
  },
  {
    name: "no-trace-id",
    about: "Lines are JSON, and do not name their trace.",
    edits: [{ file: "logs.ts", find: "...(spanContext && {", replace: "...(false && {" }],
    failing: LINES,
    says: /with "trace_id":"[0-9a-f]{32}"/,
  },
  {
    name: "one-trace-id",
    about: "The ids are those of the first line, for ever.",
    edits: [
      {
        file: "logs.ts",
        find: "const spanContext = trace.getActiveSpan()?.spanContext();",
        replace: "const spanContext = (first ??= trace.getActiveSpan()?.spanContext());",
      },
      {
        file: "logs.ts",
        find: 'let serviceName = "unknown_service";',
        replace:
          'let serviceName = "unknown_service";\nlet first: ReturnType<NonNullable<ReturnType<typeof trace.getActiveSpan>>["spanContext"]> | undefined;',
      },
    ],
    failing: LINES,
    says: /with "trace_id":"[0-9a-f]{32}"/,
  },
  {
    name: "traces-alone",
    about: "At the end the traces alone are sent.",
    edits: [{ file: "metrics.ts", find: "  atEnd(() => provider.shutdown());\n", replace: "" }],
    failing: "at the end of a process metrics are sent as well",
    says: /the metrics of gateway and orders, sent at SIGTERM/,
  },
  {
    name: "url-in-series",
    about: "Requests that are sent are counted by all that stands on their span.",
    edits: [
      {
        file: "http-client.ts",
        find: "{ ...shared, ...outcome }",
        replace: "{ ...shared, ...own, ...outcome }",
      },
    ],
    failing: SENT,
    says: /at most 5 series of the gateway/,
  },
  {
    name: "answers-alone",
    about: "A request that nobody answers is not counted.",
    edits: [
      {
        file: "http-client.ts",
        find: "      } finally {\n        recordDuration(",
        replace:
          '      } finally {\n        if ("http.response.status_code" in outcome) recordDuration(',
      },
    ],
    failing: SENT,
    says: /that nobody answered/,
  },
];
