/**
 * The checks: every rule of the tables against everything that was recorded.
 *
 * A rule that found nothing to look at is reported as well: a check that checks nothing is broken.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { HAS_LEARNING } from "../learning.ts";
import { METRIC_TYPES, prometheusName, type MetricType } from "./metric-table.ts";
import { publishedAttributes, publishedMetrics } from "./published-names.ts";
import type { Attributes, RecordedPoint, RecordedSpan } from "./recorded.ts";
import {
  CODE_ATTRIBUTES,
  FAULT_ATTRIBUTE,
  INJECTED_ATTRIBUTES,
  RESOURCE_ATTRIBUTES,
  SPAN_EVENTS,
  SPAN_TYPES,
  type AttributeRule,
  type SpanType,
} from "./span-table.ts";

const REPOSITORY = join(import.meta.dir, "../../..");

/** How one rule fared. */
export interface RuleResult {
  rule: string;
  /** How many spans or points it looked at. */
  checked: number;
  /** What broke it, for a person. */
  breaches: string[];
}

class Results {
  readonly #rules = new Map<string, RuleResult>();

  /** @param breach what is wrong; undefined where nothing is */
  add(rule: string, breach: string | undefined): void {
    const result = this.expect(rule);
    result.checked++;
    if (breach !== undefined) result.breaches.push(breach);
  }

  /** Lists a rule, so that it is missed when nothing exercises it. */
  expect(rule: string): RuleResult {
    const result = this.#rules.get(rule) ?? { rule, checked: 0, breaches: [] };
    this.#rules.set(rule, result);
    return result;
  }

  all(): RuleResult[] {
    return [...this.#rules.values()].sort((a, b) => (a.rule < b.rule ? -1 : 1));
  }
}

/** Which type a span is of, if it is of a known one. */
export function spanTypeOf(span: RecordedSpan): SpanType | undefined {
  return SPAN_TYPES.find((type) => type.matches(span));
}

/** Checks spans against every rule. */
export function checkSpans(spans: readonly RecordedSpan[]): RuleResult[] {
  const results = new Results();
  for (const type of SPAN_TYPES) expectType(results, type);
  for (const event of Object.keys(SPAN_EVENTS)) results.expect(`event ${event}: is known`);
  for (const span of spans) {
    checkAny(results, span);
    const type = spanTypeOf(span);
    results.add("every span is of a known type", type ? undefined : describe(span));
    if (type) checkTyped(results, span, type);
  }
  return results.all();
}

function expectType(results: Results, type: SpanType): void {
  results.expect(`${type.id}: name is ${type.nameForm}`);
  results.expect(`${type.id}: kind is ${type.kind}`);
  for (const [key, rule] of Object.entries(type.attributes)) {
    if (key in INJECTED_ATTRIBUTES && !HAS_LEARNING) continue;
    results.expect(attributeRuleName(type.id, key, rule));
  }
  for (const rule of Object.keys(type.extra ?? {})) results.expect(`${type.id}: ${rule}`);
}

/** What holds for every span. */
function checkAny(results: Results, span: RecordedSpan): void {
  const failed = span.status.code === "ERROR";
  const typed = span.attributes["error.type"] !== undefined;
  results.add(
    "`error.type` stands exactly where the status is ERROR",
    failed === typed ? undefined : `${describe(span)}: ${span.status.code}`,
  );
  results.add(
    "the status is ERROR or unset, never OK",
    span.status.code === "OK" ? describe(span) : undefined,
  );
  results.add(
    "a description stands only beside ERROR",
    !failed && span.status.message !== "" ? describe(span) : undefined,
  );
  if (failed) {
    results.add(
      "a failed span says what went wrong",
      span.status.message === "" ? describe(span) : undefined,
    );
  }
  results.add(
    "no span ends before it starts",
    span.durationNs < 0n ? `${describe(span)}: ${span.durationNs} ns` : undefined,
  );
  const shown = JSON.stringify([span.attributes, span.events, span.status]);
  results.add(
    "nothing secret",
    /hunter2|access_token=abc/.test(shown) ? describe(span) : undefined,
  );
  checkKeys(results, span.attributes, describe(span));
  checkTable(results, "resource", RESOURCE_ATTRIBUTES, span.resource, span);
  checkKeys(results, span.resource, `the resource of ${span.service}`);
  for (const event of span.events) {
    const known = SPAN_EVENTS[event.name];
    results.add(`event ${event.name}: is known`, known ? undefined : describe(span));
    if (known) checkTable(results, `event ${event.name}`, known, event.attributes, span);
    checkKeys(results, event.attributes, `event ${event.name} on ${describe(span)}`);
  }
}

function checkTyped(results: Results, span: RecordedSpan, type: SpanType): void {
  const name = type.name(span);
  results.add(
    `${type.id}: name is ${type.nameForm}`,
    span.name === name ? undefined : `${describe(span)} is not "${name}"`,
  );
  results.add(
    `${type.id}: kind is ${type.kind}`,
    span.kind === type.kind ? undefined : `${describe(span)} is ${span.kind}`,
  );
  checkTable(results, type.id, type.attributes, span.attributes, span);
  checkLocation(results, span, type);
  for (const key of Object.keys(span.attributes)) {
    const listed = type.attributes[key] ?? CODE_ATTRIBUTES[key] ?? key === FAULT_ATTRIBUTE;
    results.add(
      `${type.id}: has only attributes of its table`,
      listed ? undefined : `${describe(span)}: ${key}`,
    );
  }
  for (const [rule, broken] of Object.entries(type.extra ?? {})) {
    const breach = broken(span);
    results.add(`${type.id}: ${rule}`, breach && `${describe(span)}: ${breach}`);
  }
}

/** The flows run with code locations on: each span leads to a line of the source. */
function checkLocation(results: Results, span: RecordedSpan, type: SpanType): void {
  if (!HAS_LEARNING || (type.id === "http.server" && !span.attributes["http.route"])) return;
  checkTable(results, "code location", CODE_ATTRIBUTES, span.attributes, span);
  const path = String(span.attributes["code.file.path"]?.value);
  const line = Number(span.attributes["code.line.number"]?.value);
  const file = join(REPOSITORY, path);
  const text = existsSync(file) ? readFileSync(file, "utf8").split("\n")[line - 1] : undefined;
  results.add(
    "code location: is a line of the source",
    text?.trim() ? undefined : `${describe(span)}: ${path}:${line}`,
  );
}

/** Presence, type and form of the attributes in a table. */
function checkTable(
  results: Results,
  what: string,
  table: Readonly<Record<string, AttributeRule>>,
  attributes: Attributes,
  span: RecordedSpan,
): void {
  for (const [key, rule] of Object.entries(table)) {
    const attribute = attributes[key];
    const ruleName = attributeRuleName(what, key, rule);
    const { level } = rule;
    const wanted = level === "required" || (typeof level === "object" && level.holds(span));
    if (attribute === undefined) {
      if (wanted) results.add(ruleName, `${describe(span)}: it is missing`);
      continue;
    }
    results.add(
      ruleName,
      typeof level === "object" && !wanted
        ? `${describe(span)}: it is there`
        : breachOfValue(rule, attribute, describe(span)),
    );
  }
}

function breachOfValue(
  rule: AttributeRule,
  { type, value }: Attributes[string],
  where: string,
): string | undefined {
  if (type !== rule.type) return `${where}: ${type} instead of ${rule.type}`;
  if (rule.form && !rule.form.test(String(value))) return `${where}: ${JSON.stringify(value)}`;
  return undefined;
}

/** Names outside `orderflow.` are published and not deprecated. */
function checkKeys(results: Results, attributes: Attributes, where: string): void {
  for (const [key, { type }] of Object.entries(attributes)) {
    const standing = key.startsWith("orderflow.") ? "stable" : publishedAttributes.get(key);
    results.add(
      "attribute names are published ones, or stand under `orderflow.`",
      standing ? undefined : `${where}: ${key}`,
    );
    results.add(
      "no attribute name is deprecated",
      standing === "deprecated" ? `${where}: ${key}` : undefined,
    );
    results.add("no attribute is empty", type === "empty" ? `${where}: ${key}` : undefined);
  }
}

function attributeRuleName(what: string, key: string, { type, level }: AttributeRule): string {
  const when = typeof level === "object" ? `exactly when ${level.when}` : level;
  return `${what}: ${key}, ${type}, ${when}`;
}

/** Checks metric points against every rule. */
export function checkPoints(points: readonly RecordedPoint[]): RuleResult[] {
  const results = new Results();
  for (const [name, type] of Object.entries(METRIC_TYPES)) {
    results.expect(metricRuleName(name, type));
    for (const [key, { level }] of Object.entries(type.attributes)) {
      // What only shows when spans are lost has a test of its own: collector-outage.test.ts.
      if (!(name.startsWith("otel.") && level === "recommended")) {
        results.expect(`${name}: ${key}`);
      }
    }
  }
  for (const point of points) {
    const type = METRIC_TYPES[point.metric];
    results.add("every metric is a known one", type ? undefined : point.metric);
    const isOurs = point.metric.startsWith("orderflow.");
    const standing = isOurs ? "stable" : publishedMetrics.get(point.metric);
    results.add(
      "metric names are published ones and not deprecated, or stand under `orderflow.`",
      standing && standing !== "deprecated" ? undefined : `${point.metric}: ${standing}`,
    );
    results.add("every metric has a description", point.description ? undefined : point.metric);
    checkKeys(results, point.attributes, point.metric);
    if (type) checkPoint(results, point, type);
  }
  return results.all();
}

function metricRuleName(name: string, { instrument, unit, boundaries }: MetricType): string {
  return `${name}: ${instrument}, ${unit}${boundaries ? `, ${boundaries.length} boundaries` : ""}`;
}

function checkPoint(results: Results, point: RecordedPoint, type: MetricType): void {
  const same =
    point.instrument === type.instrument &&
    point.unit === type.unit &&
    Bun.deepEquals(point.boundaries, type.boundaries);
  results.add(
    metricRuleName(point.metric, type),
    same ? undefined : `${point.instrument}, ${point.unit}, ${point.boundaries?.join(" ")}`,
  );
  for (const [key, rule] of Object.entries(type.attributes)) {
    const attribute = point.attributes[key];
    const { level } = rule;
    const wanted =
      level === "required" || (typeof level === "object" && level.holds(point.attributes));
    if (attribute === undefined) {
      if (wanted) results.add(`${point.metric}: ${key}`, `${point.service}: it is missing`);
      continue;
    }
    const good =
      attribute.type === rule.type &&
      rule.values.test(String(attribute.value)) &&
      (wanted || level === "recommended");
    results.add(
      `${point.metric}: ${key}`,
      good ? undefined : `${point.service}: ${attribute.type} ${JSON.stringify(attribute.value)}`,
    );
  }
  for (const key of Object.keys(point.attributes)) {
    results.add(
      "metrics have only the attributes of their table",
      type.attributes[key] ? undefined : `${point.metric}: ${key}`,
    );
  }
}

/** Checks that `GET /metrics` shows the same metrics, under Prometheus's names. */
export function checkScrape(service: string, text: string): RuleResult[] {
  const results = new Results();
  const known = new Map(
    Object.entries(METRIC_TYPES).map(([name, type]) => [prometheusName(name, type), type]),
  );
  for (const [, name, shown] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    if (name === undefined || name === "target_info") continue;
    const type = known.get(name);
    results.add("/metrics: every name is a known one", type ? undefined : `${service}: ${name}`);
    if (type) {
      const wanted = { Histogram: "histogram", Counter: "counter" }[type.instrument as string];
      results.add(
        "/metrics: the type is the instrument's",
        shown === (wanted ?? "gauge") ? undefined : `${service}: ${name} ${shown}`,
      );
    }
  }
  for (const label of text.matchAll(/[{,](\w+)=""/g)) {
    results.add("/metrics: no label is empty", `${service}: ${label[1]}`);
  }
  return results.all();
}

/** Adds up the results of several runs, rule by rule. */
export function mergeResults(...lists: RuleResult[][]): RuleResult[] {
  const merged = new Map<string, RuleResult>();
  for (const { rule, checked, breaches } of lists.flat()) {
    const before = merged.get(rule);
    merged.set(rule, {
      rule,
      checked: checked + (before?.checked ?? 0),
      breaches: [...(before?.breaches ?? []), ...breaches],
    });
  }
  return [...merged.values()];
}

/** The results as a table for a person. */
export function renderResults(results: readonly RuleResult[]): string {
  return results
    .map(({ rule, checked, breaches }) => {
      const mark = breaches.length > 0 ? "BROKEN" : checked === 0 ? "UNSEEN" : "ok";
      return `${mark.padEnd(7)}${String(checked).padStart(6)}  ${rule}${breaches.length > 0 ? `\n${" ".repeat(15)}${breaches.slice(0, 3).join(`\n${" ".repeat(15)}`)}` : ""}`;
    })
    .join("\n");
}

function describe(span: RecordedSpan): string {
  return `${span.service} "${span.name}"`;
}
