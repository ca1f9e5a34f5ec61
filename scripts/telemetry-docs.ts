/**
 * Writes the reference tables of docs/telemetry.md: `bun scripts/telemetry-docs.ts`.
 *
 * They come from the tables that the convention checks use, so that what is documented is what is
 * checked, and the reading order from the files; tests/telemetry-docs.test.ts fails where the file is behind.
 */
import { join } from "node:path";
import { LOG_FIELDS } from "../tests/support/conventions/log-table.ts";
import {
  METRIC_TYPES,
  prometheusName,
  type MetricType,
} from "../tests/support/conventions/metric-table.ts";
import { publishedAttributes } from "../tests/support/conventions/published-names.ts";
import {
  CODE_ATTRIBUTES,
  RESOURCE_ATTRIBUTES,
  SPAN_EVENTS,
  SPAN_TYPES,
  type AttributeRule,
  type SpanType,
} from "../tests/support/conventions/span-table.ts";
import { plainPath, readingOrder } from "./reading-order.ts";

export const DOCS_FILE = join(import.meta.dir, "../docs/telemetry.md");

const SECTIONS: Readonly<Record<string, () => string>> = {
  "plain path": () =>
    table(["file", "lines", "minutes", "know before", "what you learn"], plainPath()),
  "reading order": () => table(["part", "files", "minutes", "what you learn"], readingOrder()),
  spans: () => SPAN_TYPES.map(spanSection).join("\n\n"),
  "span events": () =>
    Object.entries(SPAN_EVENTS)
      .map(([name, attributes]) => `Event \`${name}\`\n\n${attributeTable(attributes)}`)
      .join("\n\n"),
  "code location": () => attributeTable(CODE_ATTRIBUTES),
  resource: () => attributeTable(RESOURCE_ATTRIBUTES),
  metrics: () => metricTable(),
  logs: () =>
    table(
      ["field", "what it says"],
      Object.entries(LOG_FIELDS).map(([name, { about, always }]) => [
        `\`${name}\``,
        always ? `${about} (on every line)` : about,
      ]),
    ),
};

/**
 * Puts the generated tables between their marks.
 * @param text of docs/telemetry.md
 * @throws Error that names the section whose marks are missing
 */
export function withReference(text: string): string {
  let result = text;
  for (const [name, render] of Object.entries(SECTIONS)) {
    const begin = `<!-- generated: ${name} -->`;
    const end = `<!-- end: ${name} -->`;
    const beginAt = result.indexOf(begin);
    const endAt = result.indexOf(end);
    if (beginAt < 0 || endAt < beginAt) throw new Error(`${begin} … ${end} is missing`);
    result = `${result.slice(0, beginAt + begin.length)}\n\n${render()}\n\n${result.slice(endAt)}`;
  }
  return result;
}

function spanSection(type: SpanType): string {
  return [
    `### ${type.title}`,
    `Name ${type.nameForm} · kind ${type.kind} · [${type.file}](../lib/telemetry/${type.file}) · [conventions](${type.page})`,
    type.about,
    attributeTable(type.attributes),
  ].join("\n\n");
}

function attributeTable(attributes: Readonly<Record<string, AttributeRule>>): string {
  const rows = Object.entries(attributes).map(([key, { type, level, about }]) => [
    `\`${key}\``,
    type,
    typeof level === "object" ? `when ${level.when}` : level === "required" ? "always" : "may be",
    about,
    publishedAttributes.get(key) ?? "ours",
  ]);
  return rows.length === 0
    ? "No attributes."
    : table(["attribute", "type", "there", "what it says", "standing"], rows);
}

function metricTable(): string {
  return table(
    ["metric", "on /metrics", "instrument, unit", "attributes", "what it counts"],
    Object.entries(METRIC_TYPES).map(([name, type]) => [
      type.page ? `[\`${name}\`](${type.page})` : `\`${name}\``,
      `\`${prometheusName(name, type)}\``,
      instrumentCell(type),
      Object.keys(type.attributes)
        .map((key) => `\`${key}\``)
        .join(", "),
      type.about,
    ]),
  );
}

function instrumentCell({ instrument, unit, boundaries }: MetricType): string {
  return `${instrument}, \`${unit}\`${boundaries ? `; ${boundaries.join(" ")}` : ""}`;
}

/** A table as the formatter would have it: the formatter leaves generated files alone otherwise. */
function table(head: string[], rows: string[][]): string {
  const escaped = rows.map((row) => row.map((cell) => cell.replaceAll("|", String.raw`\|`)));
  const widths = head.map((_, column) =>
    Math.max(3, ...[head, ...escaped].map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...escaped.map(line)].join(
    "\n",
  );
}

if (import.meta.main) {
  await Bun.write(DOCS_FILE, withReference(await Bun.file(DOCS_FILE).text()));
}
