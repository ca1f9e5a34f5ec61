/** Why a span is as it is: in the words of the chapter, which teaches to make such a span. */
import { join } from "node:path";
import type { WireWhy } from "../viewer/wire.ts";
import type { InstrumentationScope, OtlpSpan } from "./otlp.ts";
import { sourceAround } from "./source-lines.ts";
import { textAttribute } from "./span-terms.ts";

const ROOT = join(import.meta.dir, "../../..");
const LAYER = "@orderflow/telemetry";
const CHAPTER = join(import.meta.dir, "../../../docs/tutorial");
const CONVENTIONS = "https://opentelemetry.io/docs/specs/semconv/";

/** A paragraph of the chapter: on which page, and how it begins. */
type Pick = readonly [question: string, page: string, beginning: string];

/** What there is to say of a kind of span. */
interface Reasons {
  readonly title: string;
  readonly rule: string;
  readonly picks: readonly Pick[];
  /** Where our layer starts and ends such a span: the file, and how the line begins. */
  readonly started: Place;
  readonly ended: Place;
}

type Place = readonly [file: string, beginning: string];

const KIND = "Why this kind";
const PARENT = "Why this parent";
const NAME = "Why this name";
const STATUS = "When it is an error";
const ELSE = "What would be wrong otherwise";

/** By what kind of span it is. Exported for the test that looks for each paragraph. */
export const REASONS: Readonly<Record<string, Reasons>> = {
  server: {
    title: "A request that came in",
    rule: "http/http-spans/#http-server-span",
    started: ["lib/telemetry/http/server.ts", "const span = startSpan("],
    ended: ["lib/telemetry/http/server.ts", "span.end();"],
    picks: [
      [KIND, "03-http-in.md", "The kind is **SERVER**"],
      [PARENT, "03-http-in.md", "`extract` gives a context"],
      [NAME, "03-http-in.md", "`GET /orders/:id` is one name"],
      [STATUS, "03-http-in.md", "**4xx**: the caller asked"],
      [ELSE, "03-http-in.md", "No propagator complains."],
    ],
  },
  client: {
    title: "A request that went out",
    rule: "http/http-spans/#http-client-span",
    started: ["lib/telemetry/http/request-out.ts", "const span = startSpan("],
    ended: ["lib/telemetry/http/request-out.ts", "span.end();"],
    picks: [
      [KIND, "04-http-out.md", "The kind is **CLIENT**"],
      [PARENT, "04-http-out.md", "`inject` writes the place"],
      [NAME, "04-http-out.md", "The name is the method."],
      [STATUS, "04-http-out.md", "`serve` leaves a 4xx alone"],
      [ELSE, "04-http-out.md", "Every span is there, and no service's"],
    ],
  },
  statement: {
    title: "A statement",
    rule: "db/database-spans/",
    started: ["lib/telemetry/sql/statement.ts", "const span = startSpan("],
    ended: ["lib/telemetry/sql/statement.ts", "span.end();"],
    picks: [
      [KIND, "05-sql.md", "Nothing can be put inside PostgreSQL"],
      [NAME, "05-sql.md", "The **summary** is shorter still"],
      [
        "Why there are no values in its text",
        "05-sql.md",
        "A template gives its texts and its values apart",
      ],
      [STATUS, "05-sql.md", "When a statement fails, PostgreSQL says why"],
    ],
  },
  create: {
    title: "A record that came to be",
    rule: "messaging/messaging-spans/#span-kind",
    started: ["lib/telemetry/kafka/producer.ts", "const span = tracer().startSpan(`create"],
    ended: ["lib/telemetry/span.ts", "span.end();"],
    picks: [
      [KIND, "06-kafka.md", "`PRODUCER` is the span whose context goes"],
      [PARENT, "06-kafka.md", "So the event is written where the order is written"],
      [ELSE, "06-kafka.md", "So far the orders service commits an order"],
    ],
  },
  send: {
    title: "Records that were handed to Kafka",
    rule: "messaging/messaging-spans/#span-kind",
    started: ["lib/telemetry/kafka/producer.ts", "const span = tracer().startSpan(\n"],
    ended: ["lib/telemetry/span.ts", "span.end();"],
    picks: [
      [PARENT, "06-kafka.md", "A span has one parent, and as many **links**"],
      [
        "Why it is in an order's trace at times",
        "06-kafka.md",
        "Where the relay finds one record alone",
      ],
      ["How long a record waited", "06-kafka.md", "The long gap is part of the truth"],
    ],
  },
  process: {
    title: "A record that was handled",
    rule: "messaging/messaging-spans/#span-kind",
    started: ["lib/telemetry/kafka/consumer.ts", "const span = tracer().startSpan("],
    ended: ["lib/telemetry/span.ts", "span.end();"],
    picks: [
      [PARENT, "06-kafka.md", "Each record is handled in a `CONSUMER` span"],
      ["How it knows", "06-kafka.md", "The propagator takes a Buffer for no text"],
      [
        "Why it may begin long after its parent has ended",
        "06-kafka.md",
        "How long may a record lie there?",
      ],
      [ELSE, "06-kafka.md", "Two traces where one is wanted."],
    ],
  },
  internal: {
    title: "A step of its process",
    rule: "",
    started: ["lib/telemetry/span.ts", "const span = tracer().startSpan("],
    ended: ["lib/telemetry/span.ts", "span.end();"],
    picks: [
      [PARENT, "02-nesting.md", "A span's parent is decided when the span starts"],
      [ELSE, "02-nesting.md", "The same spans, each of them a root"],
    ],
  },
};

const FAILED: readonly Pick[] = [
  ["What a failed span says", "07-errors.md", "its **status** is `ERROR`"],
  ["What its kind of error is for", "07-errors.md", "**`error.type`**: what kind of failure"],
];

/** @returns what there is to say; undefined for a span of no kind that is known, or without the chapter */
export async function whyOf(
  span: OtlpSpan,
  scope: InstrumentationScope = {},
): Promise<WireWhy | undefined> {
  const reasons = REASONS[kindOf(span) ?? ""];
  if (!reasons) return undefined;
  const picks = span.status?.code === 2 ? [...reasons.picks, ...FAILED] : reasons.picks;
  const parts = await Promise.all(
    picks.map(async ([question, page, beginning]) => ({
      question,
      page: `docs/tutorial/${page}`,
      text: await paragraph(page, beginning),
    })),
  );
  const known = parts.filter((part): part is WireWhy["parts"][number] => part.text !== undefined);
  if (known.length === 0) return undefined;
  return {
    title: reasons.title,
    parts: known,
    layer: scope.name === LAYER ? await layerLines(reasons) : [],
    ...(reasons.rule && { rule: CONVENTIONS + reasons.rule }),
  };
}

async function layerLines({ started, ended }: Reasons): Promise<WireWhy["layer"]> {
  const lines = await Promise.all([
    layerLine("Where the layer started it", started),
    layerLine("Where the layer ended it", ended),
  ]);
  return lines.filter((one) => one !== undefined);
}

/** @returns undefined where the layer's files are not here, or have no such line */
export async function layerLine(
  what: string,
  [file, beginning]: Place,
): Promise<WireWhy["layer"][number] | undefined> {
  const text = await Bun.file(join(ROOT, file))
    .text()
    .catch(() => "");
  const at = text.indexOf(beginning);
  if (at === -1) return undefined;
  const source = await sourceAround(ROOT, file, text.slice(0, at).split("\n").length);
  return source && { what, source };
}

function kindOf({ kind, attributes }: OtlpSpan): string | undefined {
  const operation = textAttribute(attributes, "messaging.operation.name");
  if (operation !== undefined) {
    if (kind === 4) return "create";
    return kind === 5 ? "process" : "send";
  }
  if (textAttribute(attributes, "db.system.name") !== undefined) return "statement";
  if (kind === 2) return "server";
  if (kind === 3) return "client";
  return kind === 1 ? "internal" : undefined;
}

const pages = new Map<string, Promise<string>>();

/**
 * @returns the rest of the paragraph from its beginning on, as text; undefined where there is none
 */
export async function paragraph(page: string, beginning: string): Promise<string | undefined> {
  const markdown = await pages.getOrInsertComputed(page, () =>
    Bun.file(join(CHAPTER, page))
      .text()
      .catch(() => ""),
  );
  const at = markdown.indexOf(beginning);
  if (at === -1) return undefined;
  const rest = markdown.slice(at);
  // A list's item ends where the next begins, too.
  const end = rest.search(/\n\s*\n|\n\s*- |\n\s*\d+\. /);
  return rest
    .slice(0, end === -1 ? rest.length : end)
    .replaceAll(/\s+/g, " ")
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replaceAll("**", "")
    .replace(/ \*?(?:Add|Replace|Change|New file)\b[^.]*$/, "")
    .trim();
}
