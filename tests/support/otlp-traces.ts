/** Traces as OTLP's JSON, made for tests of what shows them. */

/** A span; the rest is the same for all. */
export interface MadeSpan {
  readonly id: number;
  readonly parent?: number;
  readonly trace?: number;
  readonly service?: string;
  readonly name?: string;
  readonly kind?: number;
  /** Milliseconds after 14:00 on a day of 2026. */
  readonly startMs?: number;
  readonly durationMs?: number;
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
  readonly failed?: boolean;
  readonly message?: string;
  readonly links?: readonly { readonly trace: number; readonly span: number }[];
  readonly events?: readonly string[];
}

export const DAY_MS = Date.UTC(2026, 5, 1, 14);

export function traceIdOf(trace: number): string {
  return trace.toString(16).padStart(32, "0");
}

export function spanIdOf(span: number): string {
  return span.toString(16).padStart(16, "0");
}

/** @returns the body of an export request */
export function exportOf(spans: readonly MadeSpan[]): string {
  const byService = Map.groupBy(spans, ({ service = "shop" }) => service);
  return JSON.stringify({
    resourceSpans: [...byService].map(([service, made]) => ({
      resource: { attributes: attributesOf({ "service.name": service }) },
      scopeSpans: [{ scope: { name: "made", version: "1" }, spans: made.map(spanOf) }],
    })),
  });
}

function spanOf(made: MadeSpan): object {
  const { id, parent, trace = 1, startMs = 0, durationMs = 1 } = made;
  return {
    traceId: traceIdOf(trace),
    spanId: spanIdOf(id),
    ...(parent !== undefined && { parentSpanId: spanIdOf(parent) }),
    name: made.name ?? `span ${id}`,
    kind: made.kind ?? 1,
    startTimeUnixNano: nanos(startMs),
    endTimeUnixNano: nanos(startMs + durationMs),
    attributes: attributesOf(made.attributes ?? {}),
    events: (made.events ?? []).map((name) => ({ name, timeUnixNano: nanos(startMs) })),
    links: (made.links ?? []).map((link) => ({
      traceId: traceIdOf(link.trace),
      spanId: spanIdOf(link.span),
    })),
    status: made.failed ? { code: 2, message: made.message ?? "" } : {},
  };
}

function nanos(ms: number): string {
  return String(BigInt(Math.round((DAY_MS + ms) * 1_000)) * 1_000n);
}

export function attributesOf(
  values: Readonly<Record<string, string | number | boolean>>,
): object[] {
  return Object.entries(values).map(([key, value]) => ({
    key,
    value:
      typeof value === "string"
        ? { stringValue: value }
        : typeof value === "boolean"
          ? { boolValue: value }
          : { intValue: String(value) },
  }));
}

/** Sends an export request. @throws Error where it is not taken */
export async function sendTraces(otlpUrl: string, spans: readonly MadeSpan[]): Promise<void> {
  await send(`${otlpUrl}/v1/traces`, exportOf(spans));
}

/** Says which spans of a program are open. @throws Error where that is not taken */
export async function sendOpenSpans(
  otlpUrl: string,
  process: string,
  spans: readonly MadeSpan[],
): Promise<void> {
  await send(`${otlpUrl}/api/open-spans?process=${process}`, exportOf(spans));
}

async function send(url: string, body: string): Promise<void> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url, { method: "POST", headers, body });
  if (!response.ok) throw new Error(`not taken: ${response.status} ${await response.text()}`);
}
