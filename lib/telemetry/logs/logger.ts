/**
 * Logs: one JSON object a line on standard output, with the active span's ids on it.
 *
 * A line cannot be forged by input, since every control character in it is escaped; and a secret
 * does not get into it, neither by its field's name nor inside a text.
 */
import { context, isSpanContextValid, trace } from "@opentelemetry/api";
import { SeverityNumber, type Logger as OtlpLogger } from "@opentelemetry/api-logs";
import { ATTR_EXCEPTION_MESSAGE, ATTR_EXCEPTION_TYPE } from "../attributes.ts";
import { isSecretName, REDACTED, redactText } from "./redact.ts";
import { errorMessage, errorTypeOf } from "../error-text.ts";

export type LogFields = Record<string, unknown>;
type Level = keyof typeof LEVELS;

const LEVELS = {
  debug: SeverityNumber.DEBUG,
  info: SeverityNumber.INFO,
  warn: SeverityNumber.WARN,
  error: SeverityNumber.ERROR,
};

const FIELD_DEPTH_MAX = 4;
const FIELD_CHARS_MAX = 2_000;
const FIELD_ITEMS_MAX = 100;

// JSON escapes U+0000 to U+001F itself. These are the others that a terminal or a log viewer takes
// for a line's end or a command: DEL, C1 controls, LINE and PARAGRAPH SEPARATOR, and the marks that
// make text run from right to left, which show a line otherwise than it is.
// oxlint-disable-next-line no-control-regex
const MORE_CONTROLS = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

let threshold: number = SeverityNumber.INFO;
let serviceName = "unknown_service";
let otlp: OtlpLogger | undefined;

/**
 * Sets the logger up; before that it writes as `unknown_service` at level info.
 * @param options.level one of debug, info, warn, error
 * @param options.otlp where to send the lines to as well, if anywhere
 */
export function configureLogger(options: {
  serviceName: string;
  level: Level;
  otlp?: OtlpLogger | undefined;
}): void {
  serviceName = options.serviceName;
  threshold = LEVELS[options.level];
  otlp = options.otlp;
}

/** Whether a text names a level; LOG_LEVEL is checked with it. */
export function isLogLevel(text: string): text is Level {
  return Object.hasOwn(LEVELS, text);
}

/**
 * The logger. Fields come after the standard ones and cannot replace them; an Error becomes its
 * class and message, never its stack.
 */
export const logger = {
  debug: (message: string, fields?: LogFields) => write("debug", message, fields),
  info: (message: string, fields?: LogFields) => write("info", message, fields),
  warn: (message: string, fields?: LogFields) => write("warn", message, fields),
  error: (message: string, fields?: LogFields) => write("error", message, fields),
};

function write(level: Level, message: string, fields: LogFields = {}): void {
  const severity = LEVELS[level];
  if (severity < threshold) return;
  const active = trace.getSpanContext(context.active());
  const spanContext = active && isSpanContextValid(active) ? active : undefined;
  const safeMessage = safeText(message);
  const safeFields = safeObject(fields, 0);
  const line = {
    timestamp: new Date().toISOString(),
    level,
    message: safeMessage,
    "service.name": serviceName,
    ...(spanContext && {
      trace_id: spanContext.traceId,
      span_id: spanContext.spanId,
      trace_flags: spanContext.traceFlags.toString(16).padStart(2, "0"),
    }),
  };
  // Standard keys first, and a second time last: a field of the same name does not replace them.
  const text = JSON.stringify({ ...line, ...safeFields, ...line });
  process.stdout.write(`${text.replace(MORE_CONTROLS, escapeControl)}\n`);
  otlp?.emit({
    severityNumber: severity,
    severityText: level.toUpperCase(),
    body: safeMessage,
    attributes: recordAttributes(safeFields),
  });
}

/** Names that the conventions have, by their first part. */
const CONVENTIONAL = /^(?:orderflow|messaging|kafka|server)\./;

/** The fields as attributes of a log record: what the conventions have no name for is ours. */
function recordAttributes(fields: Record<string, SafeValue>): Record<string, SafeValue> {
  const attributes: Record<string, SafeValue> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (name === "error" && typeof value === "object" && value !== null && "type" in value) {
      attributes[ATTR_EXCEPTION_TYPE] = value["type"] ?? null;
      attributes[ATTR_EXCEPTION_MESSAGE] = value["message"] ?? null;
    } else {
      attributes[CONVENTIONAL.test(name) ? name : `orderflow.${name}`] = value;
    }
  }
  return attributes;
}

type SafeValue = string | number | boolean | null | SafeValue[] | { [name: string]: SafeValue };

function safeObject(fields: object, depth: number): Record<string, SafeValue> {
  const safe: Record<string, SafeValue> = {};
  for (const [name, value] of Object.entries(fields).slice(0, FIELD_ITEMS_MAX)) {
    if (value !== undefined) safe[name] = isSecretName(name) ? REDACTED : safeValue(value, depth);
  }
  return safe;
}

function safeValue(value: unknown, depth: number): SafeValue {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (value instanceof Error) {
    return { type: errorTypeOf(value), message: safeText(errorMessage(value)) };
  }
  if (Array.isArray(value) && depth < FIELD_DEPTH_MAX) {
    return value.slice(0, FIELD_ITEMS_MAX).map((item) => safeValue(item, depth + 1));
  }
  if (isPlainObject(value) && depth < FIELD_DEPTH_MAX) return safeObject(value, depth + 1);
  if (value instanceof Date) return value.toJSON();
  // Of bytes, class instances and what lies too deep only the kind: [object Uint8Array].
  return typeof value === "object"
    ? Object.prototype.toString.call(value)
    : safeText(String(value));
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function safeText(text: string): string {
  // Cut after the redaction: half a URL does not show its password as one any more.
  return redactText(text.slice(0, 4 * FIELD_CHARS_MAX)).slice(0, FIELD_CHARS_MAX);
}

function escapeControl(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
