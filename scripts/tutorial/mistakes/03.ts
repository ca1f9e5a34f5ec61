/** Mistakes of stage 03: a parent that is not found, or is another's, names without end, wrong verdicts. */
import type { Complaint, Mistake } from "./mistake.ts";

const SERVED = "a request is a SERVER span in each service that it reaches";
const PARENT = "a traceparent written by hand becomes the parent";

export const bare: Complaint = { failing: SERVED, says: /a SERVER span of the gateway/ };

export const mistakes: readonly Mistake[] = [
  {
    name: "default-getter",
    about: "The headers are read without a getter of one's own.",
    edits: [
      {
        file: "http-server.ts",
        find: "request.headers, fromHeaders)",
        replace: "request.headers)",
      },
    ],
    failing: PARENT,
    says: /the default one finds nothing in a Headers object/,
  },
  {
    name: "no-kind",
    about: "The span of a request is INTERNAL, as every span that is not told its kind.",
    edits: [
      {
        file: "http-server.ts",
        find: "{ kind: SpanKind.SERVER, attributes }",
        replace: "{ attributes }",
      },
    ],
    failing: SERVED,
    says: /INTERNAL "POST \/orders"[^]*a SERVER span of the gateway/,
  },
  {
    name: "path-as-name",
    about: "A request's name is its path: each order has a name of its own.",
    edits: [
      {
        file: "http-server.ts",
        find: "span?.updateName(`${request.method} ${route}`);",
        replace: "span?.updateName(`${request.method} ${new URL(request.url).pathname}`);",
      },
    ],
    failing: "its name is the method and the route, however many paths there are",
    says: /names: 5 different ones[^]*GET \/orders\/:id for all/,
  },
  {
    name: "4xx-is-error",
    about: "What the caller did wrong is an error of the service's.",
    edits: [{ file: "http-server.ts", find: ">= 500)", replace: ">= 400)" }],
    failing: "a 5xx is an error, a 4xx is none",
    says: /404, ERROR[^]*a 4xx is the caller's mistake/,
  },
  {
    name: "no-status",
    about: "A request that failed looks as one that did not.",
    edits: [
      {
        file: "http-server.ts",
        find: "      if (response.status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });\n",
        replace: "",
      },
    ],
    failing: "a 5xx is an error, a 4xx is none",
    says: /500, UNSET[^]*the status ERROR on what was answered with 500/,
  },
  {
    name: "one-variable",
    about: "The span of the request is kept in a variable, from one hook to another.",
    edits: [
      {
        file: "http-server.ts",
        find: '    .wrap((answer) => (request: Request) => serve(request, answer as unknown as Answer))\n    .onTransform({ as: "global" }, nameByRoute);\n',
        replace: `    .onRequest(({ request }) => {
      const parent = propagation.extract(ROOT_CONTEXT, request.headers, fromHeaders);
      span = tracer.startSpan(request.method, { kind: SpanKind.SERVER }, parent);
    })
    .onTransform({ as: "global" }, ({ request, route }) => {
      span.updateName(\`\${request.method} \${route}\`);
    })
    .onAfterResponse({ as: "global" }, ({ set }) => {
      span.setAttribute("http.response.status_code", Number(set.status ?? 200));
      span.end();
    });
`,
      },
      {
        file: "http-server.ts",
        find: "/** For an Elysia app,",
        replace: "let span: Span;\n\n/** For an Elysia app,",
      },
      { file: "http-server.ts", find: "  trace,\n", replace: "  trace,\n  type Span,\n" },
      { file: "http-server.ts", find: "import { inSpan }", replace: "import { inSpan, tracer }" },
    ],
    failing: "a request that was hung up and the next one are two traces",
    says: /a span of its own for the one that was hung up/,
  },
  {
    name: "active-context",
    about: "A request goes below whatever was active when the program began to listen.",
    edits: [
      {
        file: "http-server.ts",
        find: "extract(ROOT_CONTEXT, request.headers",
        replace: "extract(context.active(), request.headers",
      },
      {
        file: "http-server.ts",
        find: "import {\n  propagation,",
        replace: "import {\n  context,\n  propagation,",
      },
      {
        file: "gateway.ts",
        find: "new Elysia()",
        replace: "const app = new Elysia()",
      },
      {
        file: "gateway.ts",
        find: `  .listen({ hostname: "127.0.0.1", port: Number(PORT) });`,
        replace: `;

await inSpan("start", async () => {
  app.listen({ hostname: "127.0.0.1", port: Number(PORT) });
});`,
      },
      {
        file: "gateway.ts",
        find: "import { startTracing }",
        replace: "import { inSpan, startTracing }",
      },
    ],
    failing: "a request that names no parent begins a trace of its own",
    says: /ROOT_CONTEXT/,
  },
  {
    name: "no-error-hook",
    about: "A body that is no JSON never gets to the hook that knows the route.",
    edits: [
      {
        file: "http-server.ts",
        find: '  plugin.onError({ as: "global" }, nameByRoute);\n',
        replace: "",
      },
    ],
    failing: "a body that is no JSON has its route's name, too",
    says: /SERVER "POST"[^]*its name to be POST \/orders/,
  },
];
