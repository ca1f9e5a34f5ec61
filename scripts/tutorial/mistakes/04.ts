/** Mistakes of stage 04: a trace that breaks off at the wire, names without end, tries that cannot be told apart. */
import type { Complaint, Mistake } from "./mistake.ts";

const ONE_TRACE = "a request that is handed on is one trace, through a CLIENT span";
const TRIES = "each try of the worker's is a span of its own, and its header names that span";

export const bare: Complaint = { failing: ONE_TRACE, says: /a CLIENT span of the gateway/ };

export const mistakes: readonly Mistake[] = [
  {
    name: "no-inject",
    about: "Nothing is written into the headers.",
    edits: [
      {
        file: "http-client.ts",
        find: "      propagation.inject(context.active(), headers, intoHeaders);\n",
        replace: "",
      },
    ],
    failing: ONE_TRACE,
    says: /2 traces[^]*no traceparent[^]*propagation\.inject/,
  },
  {
    name: "inject-outside",
    about: "The headers are made before there is the CLIENT span, so they name the one around it.",
    edits: [
      {
        file: "http-client.ts",
        find: `      const headers = new Headers(init.headers);
      propagation.inject(context.active(), headers, intoHeaders);
`,
        replace: "",
      },
      {
        file: "http-client.ts",
        find: '  const method = init.method ?? "GET";\n',
        replace: `  const method = init.method ?? "GET";
  const headers = new Headers(init.headers);
  propagation.inject(context.active(), headers, intoHeaders);
`,
      },
    ],
    failing: ONE_TRACE,
    says: /inject inside the span/,
  },
  {
    name: "url-as-name",
    about: "A call's name is its URL: each order has a name of its own.",
    edits: [
      {
        file: "http-client.ts",
        find: "    method,\n    async",
        replace: "    `${method} ${url}`,\n    async",
      },
    ],
    failing: "its name is the method, whatever the URL",
    says: /names: 5 different ones[^]*GET for all/,
  },
  {
    name: "no-baggage",
    about: "The propagator knows nothing of baggage.",
    edits: [
      {
        file: "tracing.ts",
        find: "[new W3CTraceContextPropagator(), new W3CBaggagePropagator()]",
        replace: "[new W3CTraceContextPropagator()]",
      },
    ],
    failing: "tracestate and baggage go on",
    says: /no baggage[^]*W3CBaggagePropagator/,
  },
  {
    name: "4xx-unset",
    about: "That the caller did not get what it asked for is no error.",
    edits: [{ file: "http-client.ts", find: ">= 400)", replace: ">= 500)" }],
    failing: "whoever calls, and does not get what it asked for, has an error",
    says: /CLIENT "GET" http[^]*the status ERROR on the gateway's CLIENT span/,
  },
  {
    name: "one-span-for-all",
    about: "All tries are sent in one span.",
    edits: [
      {
        file: "http-client.ts",
        find: "      const response = await fetch(url, { ...init, headers });\n",
        replace: `      let response = await fetch(url, { ...init, headers });
      for (let tries = 1; response.status >= 500 && tries < TRIES_MAX; tries++) {
        await Bun.sleep(PAUSE_MS);
        response = await fetch(url, { ...init, headers });
      }
`,
      },
    ],
    failing: TRIES,
    says: /3 CLIENT spans of the worker/,
  },
  {
    name: "no-resend-count",
    about: "A try does not say which one it is.",
    edits: [
      {
        file: "http-client.ts",
        find: "tracedFetch(url, init, resendCount)",
        replace: "tracedFetch(url, init)",
      },
    ],
    failing: TRIES,
    says: /resend_count 1 and 2/,
  },
  {
    name: "old-headers",
    about: "The headers of the first try are sent again with each.",
    edits: [
      {
        file: "http-client.ts",
        find: "  for (let resendCount = 0; ; resendCount++) {\n",
        replace: `  const headers = new Headers(init.headers);
  propagation.inject(context.active(), headers, intoHeaders);
  init = { ...init, headers };
  for (let resendCount = 0; ; resendCount++) {
`,
      },
      {
        file: "http-client.ts",
        find: `      propagation.inject(context.active(), headers, intoHeaders);
      const response`,
        replace: `      if (!headers.has("traceparent")) {
        propagation.inject(context.active(), headers, intoHeaders);
      }
      const response`,
      },
    ],
    failing: TRIES,
    says: /the traceparent of each to name its own span/,
  },
];
