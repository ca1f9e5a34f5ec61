/**
 * The reference tables of docs/telemetry.md. They come from the tables that the convention checks use, so that
 * what is documented is what is checked, and the reading order from the files.
 */
import { LOG_FIELDS } from "../../tests/support/conventions/log-table.ts";
import {
  METRIC_TYPES,
  prometheusName,
  type MetricType,
} from "../../tests/support/conventions/metric-table.ts";
import { publishedAttributes } from "../../tests/support/conventions/published-names.ts";
import {
  CODE_ATTRIBUTES,
  RESOURCE_ATTRIBUTES,
  SPAN_EVENTS,
  SPAN_TYPES,
  type AttributeRule,
  type SpanType,
} from "../../tests/support/conventions/span-table.ts";
import { markdownTable } from "../shared/markdown-table.ts";
import type { Sections } from "./marks.ts";
import { plainPath, readingOrder } from "./reading-order.ts";

export const TELEMETRY_SECTIONS: Sections = {
  "plain path": () =>
    markdownTable(["file", "lines", "minutes", "know before", "what you learn"], plainPath()),
  "reading order": () =>
    markdownTable(["part", "files", "minutes", "what you learn"], readingOrder()),
  spans: () => SPAN_TYPES.map(spanSection).join("\n\n"),
  "span events": () =>
    Object.entries(SPAN_EVENTS)
      .map(([name, attributes]) => `Event \`${name}\`\n\n${attributeTable(attributes)}`)
      .join("\n\n"),
  "code location": () => attributeTable(CODE_ATTRIBUTES),
  resource: () => attributeTable(RESOURCE_ATTRIBUTES),
  metrics: () => metricTable(),
  logs: () =>
    markdownTable(
      ["field", "what it says"],
      Object.entries(LOG_FIELDS).map(([name, { about, always }]) => [
        `\`${name}\``,
        always ? `${about} (on every line)` : about,
      ]),
    ),
};

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
    : markdownTable(["attribute", "type", "there", "what it says", "standing"], rows);
}

function metricTable(): string {
  return markdownTable(
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
