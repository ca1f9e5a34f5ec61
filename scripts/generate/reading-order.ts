/**
 * In which order lib/telemetry is read, and how long that takes: two tables of docs/telemetry.md. Times come
 * from the files, so that they cannot fall behind.
 */
import { Glob } from "bun";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const LAYER = join(import.meta.dir, "../../lib/telemetry");

/** What a person who knows TypeScript reads and understands, comments included; more slowly than prose. */
const LINES_A_MINUTE = 60;

interface Step {
  file: string;
  /** What has to be known of the layer before: files of the steps above it, or one beside it. */
  needs: readonly string[];
  teaches: string;
}

/** What tracing by hand is, without what a hop's corners need. Read in this order. */
export const PLAIN_PATH: readonly Step[] = [
  {
    file: "setup/resource.ts",
    needs: [],
    teaches: "who speaks: what stands on every span, metric and log record",
  },
  {
    file: "setup/tracer-provider.ts",
    needs: ["setup/resource.ts"],
    teaches: "provider, processor and exporter by hand",
  },
  {
    file: "span.ts",
    needs: [],
    teaches: "a step as a span, and the one way in which it fails",
  },
  {
    file: "propagation.ts",
    needs: [],
    teaches: "context out of headers and into them, for HTTP and Kafka",
  },
  {
    file: "http/server.ts",
    needs: ["span.ts", "propagation.ts", "http/current-request.ts"],
    teaches: "one SERVER span around any handler",
  },
  {
    file: "http/request-out.ts",
    needs: ["span.ts", "propagation.ts"],
    teaches: "a CLIENT span for each request sent",
  },
  {
    file: "sql/statement.ts",
    needs: ["span.ts"],
    teaches: "a CLIENT span for each statement, and what must not leave with it",
  },
  {
    file: "kafka/producer.ts",
    needs: ["span.ts", "propagation.ts", "kafka/words.ts"],
    teaches: "create and send: spans that may lie far apart in time",
  },
  {
    file: "kafka/consumer.ts",
    needs: ["span.ts", "kafka/words.ts"],
    teaches: "process: child of the creation, and linked to it",
  },
];

interface Part {
  title: string;
  /** The files to read first, in this order; what else is in the folders comes after them. */
  files: readonly string[];
  folders?: readonly string[];
  teaches: string;
}

const PARTS: readonly Part[] = [
  {
    title: "words",
    files: [
      "attributes.ts",
      "scope.ts",
      "error-text.ts",
      "optional.ts",
      "optional-folders.ts",
      "index.ts",
    ],
    teaches: "names that all files use, and which folders may be gone",
  },
  {
    title: "set-up",
    files: ["setup/start-telemetry.ts", "setup/register.ts"],
    folders: ["setup"],
    teaches: "all three signals put together; who traces where two try to; how it ends",
  },
  {
    title: "context",
    files: ["trace-context.ts"],
    teaches: "what W3C's level 2 asks for beyond the SDK's propagator",
  },
  {
    title: "adapters",
    files: ["http/bun.ts", "http/elysia.ts", "http/hono.ts"],
    teaches: "where a framework has a request's entry, exit, route and error. Read the one you use",
  },
  {
    title: "HTTP",
    files: ["http/current-request.ts", "http/request.ts", "http/route.ts", "http/client.ts"],
    folders: ["http"],
    teaches: "what a request tells; mounted apps; redirects, one span a try",
  },
  {
    title: "SQL",
    files: ["sql/pool.ts", "sql/sql.ts", "sql/query.ts", "sql/transaction.ts"],
    folders: ["sql"],
    teaches: "around a pool of one's own and around Bun's SQL; a statement's name; errors' values",
  },
  {
    title: "Kafka",
    files: ["kafka/words.ts", "kafka/measurements.ts"],
    folders: ["kafka"],
    teaches: "keys and headers as clients have them; what is counted",
  },
  {
    title: "metrics",
    files: ["metrics/instruments.ts"],
    folders: ["metrics"],
    teaches: "instruments, pushed and scraped",
  },
  {
    title: "logs",
    files: ["logs/logger.ts"],
    folders: ["logs"],
    teaches: "lines with trace ids and without secrets",
  },
  {
    title: "for speed",
    files: ["speed/index.ts"],
    folders: ["speed"],
    teaches: "the same at less cost. May be deleted; leave it out until you need it",
  },
  {
    title: "for learning",
    files: ["learning/index.ts"],
    folders: ["learning"],
    teaches: "the line behind a span. May be deleted; off by default",
  },
];

/** The rows of the plain path: file as a link, lines, minutes, what to know before, what it teaches. */
export function plainPath(): string[][] {
  const rows = PLAIN_PATH.map(({ file, needs, teaches }) => {
    const lines = lineCount(file);
    const known = needs.map((name) => `\`${name}\``).join(", ");
    return [link(file), String(lines), minutes(lines), known || "nothing", teaches];
  });
  const all = PLAIN_PATH.reduce((sum, { file }) => sum + lineCount(file), 0);
  return [...rows, ["all", String(all), minutes(all), "", ""]];
}

/** The rows of the rest: part, files as links, minutes, what it teaches. Each file stands in one of them. */
export function readingOrder(): string[][] {
  const unread = new Set(layerFiles()).difference(new Set(PLAIN_PATH.map(({ file }) => file)));
  return PARTS.map(({ title, files, folders = [], teaches }) => {
    const others = [...unread].filter((file) =>
      folders.some((name) => file.startsWith(`${name}/`)),
    );
    const all = [...new Set([...files, ...others])];
    for (const file of all) unread.delete(file);
    const lines = all.reduce((sum, file) => sum + lineCount(file), 0);
    return [title, all.map(link).join(", "), minutes(lines), teaches];
  });
}

/** Every source of the layer: no tests, nor what is there for them. */
export function layerFiles(): string[] {
  return [...new Glob("**/*.ts").scanSync(LAYER)]
    .filter((file) => !/\.test\.ts$|^(testing|examples)\//.test(file))
    .sort();
}

function link(file: string): string {
  return `[\`${file}\`](../lib/telemetry/${file})`;
}

function minutes(lines: number): string {
  return String(Math.max(1, Math.round(lines / LINES_A_MINUTE)));
}

function lineCount(file: string): number {
  return readFileSync(join(LAYER, file), "utf8").split("\n").length - 1;
}
