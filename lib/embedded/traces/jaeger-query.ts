/** The part of Jaeger's query API that we use, answered from memory. */
import {
  type JaegerSpan,
  type JaegerTag,
  type JaegerTrace,
  serviceNameOf,
  spanKindName,
  toJaegerTrace,
} from "./jaeger-json.ts";
import { microsOfDuration } from "./go-duration.ts";
import { spansOf } from "./otlp.ts";
import type { StoredTrace } from "./trace-ring.ts";

/** What the API reads from. */
export interface TraceSource {
  get(traceId: string): StoredTrace | undefined;
  /** Newest first. */
  all(): readonly StoredTrace[];
}

/**
 * Answers GET /api/services, /api/services/{service}/operations, /api/operations, /api/traces,
 * /api/traces/{id} and /api/v3/traces/{id} in the shapes of Jaeger 2.
 *
 * More than Jaeger's: a search without `service`, which goes over all of them; Jaeger answers it 400. And tags
 * that Jaeger makes itself (`span.kind`, `error`) are found, as in its stores on a disk; its store in memory does
 * not. tests/slow/jaeger-query.test.ts holds the rest to Jaeger's own answers.
 * @returns undefined for any other path
 * @see https://www.jaegertracing.io/docs/2.0/apis/
 */
export function answerJaegerQuery(source: TraceSource, url: URL): Response | undefined {
  for (const [path, answer] of ROUTES) {
    const match = path.exec(url.pathname);
    if (!match) continue;
    try {
      return answer(source, url.searchParams, decodeSegment(match[1] ?? ""));
    } catch (error) {
      if (error instanceof BadQuery) return failed(400, error.message);
      throw error;
    }
  }
  return undefined;
}

/** @param segment the variable part of the path, decoded */
type Answer = (source: TraceSource, parameters: URLSearchParams, segment: string) => Response;

const ROUTES: readonly (readonly [path: RegExp, answer: Answer])[] = [
  [/^\/api\/services$/, (source) => listed(serviceNames(source))],
  [/^\/api\/services\/([^/]+)\/operations$/, answerOperationNames],
  [/^\/api\/operations$/, answerOperations],
  [/^\/api\/traces$/, searchTraces],
  [/^\/api\/traces\/([^/]+)$/, oneTrace],
  [/^\/api\/v3\/traces\/([^/]+)$/, oneTraceAsOtlp],
];

/** A parameter of the query is wrong. */
class BadQuery extends Error {
  override readonly name = "BadQuery";
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function serviceNames(source: TraceSource): string[] {
  return [...new Set(source.all().flatMap(servicesOf))].sort();
}

function servicesOf({ resourceSpans }: StoredTrace): string[] {
  return resourceSpans.map(({ resource = {} }) => serviceNameOf(resource));
}

function operationsOf(source: TraceSource, service: string): { name: string; spanKind: string }[] {
  const operations = new Map<string, { name: string; spanKind: string }>();
  for (const trace of source.all()) {
    for (const { span, resource } of spansOf(trace)) {
      if (serviceNameOf(resource) !== service) continue;
      const operation = { name: span.name ?? "", spanKind: spanKindName(span.kind) };
      operations.set(JSON.stringify(operation), operation);
    }
  }
  return [...operations.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}

function answerOperationNames(source: TraceSource, _: URLSearchParams, service: string): Response {
  const names = new Set(operationsOf(source, service).map(({ name }) => name));
  return listed(names.size > 0 ? [...names] : null);
}

function answerOperations(source: TraceSource, parameters: URLSearchParams): Response {
  const service = parameters.get("service");
  if (!service) throw new BadQuery("parameter 'service' is required");
  const kind = parameters.get("spanKind") || undefined;
  const operations = operationsOf(source, service);
  return listed(operations.filter(({ spanKind }) => kind === undefined || spanKind === kind));
}

function oneTrace(source: TraceSource, _: URLSearchParams, id: string): Response {
  const trace = source.get(parseTraceId(id));
  return trace ? answered([toJaegerTrace(trace)]) : failed(404, "trace not found");
}

/** Its errors have a shape of their own. */
function oneTraceAsOtlp(source: TraceSource, _: URLSearchParams, id: string): Response {
  if (!TRACE_ID.test(id)) return failedAsOtlp(400, `malformed parameter trace_id: '${id}'`);
  const trace = source.get(parseTraceId(id));
  if (!trace) return failedAsOtlp(404, "No traces found");
  return Response.json({ result: { resourceSpans: trace.resourceSpans } });
}

function failedAsOtlp(httpCode: number, message: string): Response {
  return Response.json({ error: { httpCode, message } }, { status: httpCode });
}

function searchTraces(source: TraceSource, parameters: URLSearchParams): Response {
  const ids = parameters.getAll("traceID").map(parseTraceId);
  if (ids.length > 0) return tracesById(source, ids);
  const query = parseQuery(parameters);
  const found: JaegerTrace[] = [];
  for (const trace of source.all()) {
    if (found.length >= query.limit) break;
    if (query.service !== null && !servicesOf(trace).includes(query.service)) continue;
    const candidate = toJaegerTrace(trace);
    if (candidate.spans.some((span) => matches(span, candidate, query))) found.push(candidate);
  }
  return answered(found);
}

function tracesById(source: TraceSource, ids: readonly string[]): Response {
  const found = ids.map((id) => source.get(id)).filter((trace) => trace !== undefined);
  const errors = ids
    .filter((id) => !source.get(id))
    .map((traceID) => ({ msg: "trace not found", traceID: traceID.replace(/^0{16}/, "") }));
  return answered(found.map(toJaegerTrace), errors);
}

/** What a search asks of a trace: that one of its spans meets all of this. Times are microseconds. */
interface Query {
  readonly service: string | null;
  readonly operation: string | null;
  readonly tags: ReadonlyMap<string, string>;
  readonly startMin: number;
  readonly startMax: number;
  readonly durationMin: number;
  readonly durationMax: number;
  readonly limit: number;
}

function parseQuery(parameters: URLSearchParams): Query {
  const durationMin = parseDuration(parameters, "minDuration") ?? 0;
  const durationMax = parseDuration(parameters, "maxDuration") || Number.POSITIVE_INFINITY;
  if (durationMin > 0 && durationMax < durationMin) {
    throw new BadQuery("'maxDuration' should be greater than 'minDuration'");
  }
  return {
    service: parameters.get("service") || null,
    operation: parameters.get("operation") || null,
    tags: parseTags(parameters),
    startMin: parseNumber(parameters, "start") ?? 0,
    startMax: parseNumber(parameters, "end") ?? Number.POSITIVE_INFINITY,
    durationMin,
    durationMax,
    limit: parseLimit(parameters),
  };
}

function matches(span: JaegerSpan, { processes }: JaegerTrace, query: Query): boolean {
  const process = processes[span.processID];
  if (query.service !== null && process?.serviceName !== query.service) return false;
  if (query.operation !== null && span.operationName !== query.operation) return false;
  if (span.startTime < query.startMin || span.startTime > query.startMax) return false;
  if (span.duration < query.durationMin || span.duration > query.durationMax) return false;
  const tags = [...span.tags, ...(process?.tags ?? []), ...span.logs.flatMap((log) => log.fields)];
  return [...query.tags].every(([key, value]) => hasTag(tags, key, value));
}

function hasTag(tags: readonly JaegerTag[], key: string, value: string): boolean {
  // Only a failed span has the tag: whoever asks for error=false wants the others.
  if (key === "error" && value === "false") return !tags.some((tag) => tag.key === "error");
  return tags.some((tag) => tag.key === key && String(tag.value) === value);
}

const TRACE_ID = /^[0-9a-f]{1,32}$/i;

function parseTraceId(id: string): string {
  if (!TRACE_ID.test(id)) throw new BadQuery(`malformed trace id '${id}'`);
  return id.toLowerCase().padStart(32, "0");
}

const LIMIT_DEFAULT = 100;

function parseLimit(parameters: URLSearchParams): number {
  const limit = parseNumber(parameters, "limit") ?? LIMIT_DEFAULT;
  if (limit < 1) throw new BadQuery("parameter 'limit' must be at least 1");
  return limit;
}

function parseNumber(parameters: URLSearchParams, name: string): number | undefined {
  const value = parameters.get(name);
  if (!value) return undefined;
  if (!/^-?\d{1,16}$/.test(value)) throw new BadQuery(`unable to parse param '${name}': ${value}`);
  return Number(value);
}

function parseDuration(parameters: URLSearchParams, name: string): number | undefined {
  const value = parameters.get(name);
  if (!value) return undefined;
  const micros = microsOfDuration(value);
  if (micros === undefined) {
    throw new BadQuery(`unable to parse param '${name}': invalid duration '${value}'`);
  }
  return micros;
}

function parseTags(parameters: URLSearchParams): Map<string, string> {
  const tags = new Map<string, string>();
  for (const tag of parameters.getAll("tag")) {
    const [key = "", ...value] = tag.split(":");
    if (value.length === 0) {
      throw new BadQuery(`malformed 'tag' parameter, expecting key:value, received: ${tag}`);
    }
    tags.set(key, value.join(":"));
  }
  for (const json of parameters.getAll("tags")) {
    for (const [key, value] of Object.entries(parseJsonTexts(json))) tags.set(key, value);
  }
  return tags;
}

function parseJsonTexts(json: string): Record<string, string> {
  try {
    const parsed: unknown = JSON.parse(json);
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) {
      const texts = Object.entries(parsed).filter((pair): pair is [string, string] => {
        return typeof pair[1] === "string";
      });
      if (texts.length === Object.keys(parsed).length) return Object.fromEntries(texts);
    }
  } catch {
    // The same complaint as for JSON that is no object.
  }
  throw new BadQuery("malformed 'tags' parameter, which is to be a JSON object of strings");
}

/** Jaeger gives the total only where it lists names. */
function listed(data: readonly unknown[] | null): Response {
  return Response.json({ data, total: data?.length ?? 0, limit: 0, offset: 0, errors: null });
}

function answered(data: readonly JaegerTrace[], errors: readonly object[] = []): Response {
  const reported = errors.length > 0 ? errors : null;
  return Response.json({ data, total: 0, limit: 0, offset: 0, errors: reported });
}

function failed(status: number, msg: string): Response {
  const errors = [{ code: status, msg }];
  return Response.json({ data: null, total: 0, limit: 0, offset: 0, errors }, { status });
}
