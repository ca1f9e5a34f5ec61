/**
 * In which order lib/telemetry is read, and how long that takes: a table of docs/telemetry.md, made by
 * `bun scripts/telemetry-docs.ts`. Times come from the files, so that they cannot fall behind.
 */
import { Glob } from "bun";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const LAYER = join(import.meta.dir, "../lib/telemetry");

/** What a person who knows TypeScript reads and understands, comments included; more slowly than prose. */
export const LINES_A_MINUTE = 60;

interface Part {
  title: string;
  /** The files to read first, in this order; what else is in the folders comes after them. */
  files: readonly string[];
  folders?: readonly string[];
  teaches: string;
}

const PARTS: readonly Part[] = [
  {
    title: "set-up",
    files: [
      "setup/start-telemetry.ts",
      "setup/resource.ts",
      "setup/tracer-provider.ts",
      "setup/register.ts",
    ],
    folders: ["setup"],
    teaches: "providers, processors and exporters by hand; who speaks; who traces; how it ends",
  },
  {
    title: "spans",
    files: ["span.ts", "propagation.ts", "attributes.ts", "index.ts", "optional.ts"],
    teaches: "a step as a span, the one way in which it fails, context across process borders",
  },
  {
    title: "HTTP in",
    files: ["http/server.ts", "http/request.ts", "http/known-method.ts"],
    teaches: "one SERVER span around any handler",
  },
  {
    title: "HTTP out",
    files: ["http/client.ts", "http/request-out.ts", "http/redirect.ts"],
    teaches: "a CLIENT span for each request sent, and what goes into its headers",
  },
  {
    title: "SQL",
    files: ["sql/sql.ts", "sql/query.ts", "sql/statement.ts", "sql/summary.ts"],
    folders: ["sql"],
    teaches: "a statement, its name, and what must not leave with it",
  },
  {
    title: "Kafka",
    files: ["kafka/index.ts", "kafka/producer.ts", "kafka/consumer.ts", "kafka/words.ts"],
    folders: ["kafka"],
    teaches: "create, send, process: spans that may lie far apart in time",
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
    title: "adapters",
    files: ["http/bun.ts", "http/elysia.ts", "http/hono.ts"],
    folders: ["http"],
    teaches: "where a framework has a request's entry, exit, route and error. Read the one you use",
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

/** The rows: part, files as links, minutes, what it teaches. Each file stands in one of them. */
export function readingOrder(): string[][] {
  const unread = new Set(layerFiles());
  return PARTS.map(({ title, files, folders = [], teaches }) => {
    const others = [...unread].filter((file) =>
      folders.some((name) => file.startsWith(`${name}/`)),
    );
    const all = [...new Set([...files, ...others.filter((file) => !isLaterPart(file, title))])];
    for (const file of all) unread.delete(file);
    const lines = all.reduce((sum, file) => sum + lineCount(file), 0);
    const links = all.map((file) => `[\`${file}\`](../lib/telemetry/${file})`);
    return [
      title,
      links.join(", "),
      String(Math.max(1, Math.round(lines / LINES_A_MINUTE))),
      teaches,
    ];
  });
}

/** Every source of the layer: no tests, nor what is there for them. */
export function layerFiles(): string[] {
  return [...new Glob("**/*.ts").scanSync(LAYER)]
    .filter((file) => !/\.test\.ts$|^(testing|examples)\//.test(file))
    .sort();
}

/** Whether a part that comes later names a file first. */
function isLaterPart(file: string, title: string): boolean {
  const at = PARTS.findIndex((part) => part.title === title);
  return PARTS.slice(at + 1).some(({ files }) => files.includes(file));
}

function lineCount(file: string): number {
  return readFileSync(join(LAYER, file), "utf8").split("\n").length - 1;
}
