/**
 * What the environment says (OTEL_*), read as the specification has it: an empty variable is not set,
 * the words of an enumeration are known in any letters, and what is not known is told and left aside.
 * @see https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 */
import { DiagLogLevel } from "@opentelemetry/api";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  type Sampler,
} from "@opentelemetry/sdk-trace-base";
import { SPEED_PARTS } from "../optional.ts";

export type Env = Readonly<Record<string, string | undefined>>;

export type Signal = "TRACES" | "METRICS" | "LOGS";

export interface TelemetrySettings {
  /** How much of what the SDK says about itself is told. */
  readonly diagLevel: DiagLogLevel;
  readonly sampler: Sampler;
  /** Which signals go out over OTLP. */
  readonly exportsOtlp: Readonly<Record<Signal, boolean>>;
  /** How many of each a span may have. */
  readonly spanLimits: Readonly<Record<keyof typeof SPAN_LIMITS, number>>;
  /** What was not understood, a sentence each; each names its variable. */
  readonly problems: readonly string[];
  /** The variables that were read here. What the SDK says of them is no news. */
  readonly names: ReadonlySet<string>;
}

/** The exporters that are known, and those where none is named. */
const EXPORTERS = {
  TRACES: { known: ["otlp"], fallback: ["otlp"] },
  // /metrics is there in any case.
  METRICS: { known: ["otlp", "prometheus"], fallback: ["otlp"] },
  // On standard output, which is the console, each line stands in any case.
  LOGS: { known: ["otlp", "console"], fallback: [] },
} as const satisfies Record<Signal, { known: readonly string[]; fallback: readonly string[] }>;

const SAMPLERS = [
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
  "always_on",
  "always_off",
  "traceidratio",
] as const;

const COMPRESSIONS = ["gzip", "none"] as const;

const DIAG_LEVELS = ["none", "error", "warn", "info", "debug", "verbose", "all"] as const;

const SPAN_LIMITS = {
  attributeCountLimit: ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"],
  eventCountLimit: ["OTEL_SPAN_EVENT_COUNT_LIMIT"],
  linkCountLimit: ["OTEL_SPAN_LINK_COUNT_LIMIT"],
  attributePerEventCountLimit: ["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"],
  attributePerLinkCountLimit: ["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"],
} as const satisfies Record<string, readonly string[]>;
const SPAN_LIMIT_DEFAULT = 128;

/** Reads the variables of the SDK that choose between things. @param env usually process.env */
export function readEnvironment(env: Env): TelemetrySettings {
  const reader = new Reader(env);
  reader.boolean("OTEL_SDK_DISABLED");
  reader.list("ORDERFLOW_TELEMETRY_SPEED", ["on", "off", ...Object.keys(SPEED_PARTS)], ["on"]);
  const signals = (["TRACES", "METRICS", "LOGS"] as const).map((signal) => {
    const { known, fallback } = EXPORTERS[signal];
    const exporters = reader.list(`OTEL_${signal}_EXPORTER`, known, fallback);
    reader.oneOf(ofSignal(signal, "PROTOCOL"), ["http/protobuf"], "http/protobuf");
    reader.oneOf(ofSignal(signal, "COMPRESSION"), COMPRESSIONS, "none");
    return [signal, exporters.includes("otlp")] as const;
  });
  return {
    diagLevel: DIAG_LEVEL_BY_NAME[reader.oneOf(["OTEL_LOG_LEVEL"], DIAG_LEVELS, "warn")],
    sampler: samplerOf(reader),
    exportsOtlp: Object.fromEntries(signals) as Record<Signal, boolean>,
    spanLimits: Object.fromEntries(
      Object.entries(SPAN_LIMITS).map(([limit, names]) => [
        limit,
        reader.count(names, SPAN_LIMIT_DEFAULT),
      ]),
    ) as TelemetrySettings["spanLimits"],
    problems: [...reader.problems],
    names: reader.names,
  };
}

/** How a signal's exports are compressed; what is not known is told by {@link readEnvironment}. */
export function compressionOf(env: Env, signal: Signal): (typeof COMPRESSIONS)[number] {
  return new Reader(env).oneOf(ofSignal(signal, "COMPRESSION"), COMPRESSIONS, "none");
}

/**
 * Whether telemetry is switched off as a whole: by `true`, in any letters, and by nothing else.
 * @see https://opentelemetry.io/docs/specs/otel/configuration/common/#boolean
 */
export function isTrue(text: string | undefined): boolean {
  return text?.trim().toLowerCase() === "true";
}

/** The words of a list, and what is wrong with it. */
export interface WordList {
  /** Known words, each once; empty where `none` was asked for. */
  readonly chosen: readonly string[];
  readonly unknown: readonly string[];
  /** `none` stands beside other words, which cannot be meant. */
  readonly isContradictory: boolean;
}

/**
 * Reads a list of words, commas between them, in any letters.
 * @param fallback what an empty list means, and one that has nothing known in it or contradicts itself
 */
export function parseWords(
  text: string | undefined,
  known: readonly string[],
  fallback: readonly string[],
): WordList {
  const words = new Set(
    (text ?? "")
      .split(",")
      .map((word) => word.trim().toLowerCase())
      .filter(Boolean),
  );
  const asksForNone = words.delete("none");
  const chosen = [...words].filter((word) => known.includes(word));
  const unknown = [...words].filter((word) => !known.includes(word));
  if (asksForNone) {
    const isContradictory = words.size > 0;
    return { chosen: isContradictory ? fallback : [], unknown, isContradictory };
  }
  return { chosen: chosen.length > 0 ? chosen : fallback, unknown, isContradictory: false };
}

const DIAG_LEVEL_BY_NAME: Readonly<Record<(typeof DIAG_LEVELS)[number], DiagLogLevel>> = {
  none: DiagLogLevel.NONE,
  error: DiagLogLevel.ERROR,
  warn: DiagLogLevel.WARN,
  info: DiagLogLevel.INFO,
  debug: DiagLogLevel.DEBUG,
  verbose: DiagLogLevel.VERBOSE,
  all: DiagLogLevel.ALL,
};

/** The signal's own variable goes before that of all. */
function ofSignal(signal: Signal, name: string): readonly string[] {
  return [`OTEL_EXPORTER_OTLP_${signal}_${name}`, `OTEL_EXPORTER_OTLP_${name}`];
}

function samplerOf(reader: Reader): Sampler {
  const name = reader.oneOf(["OTEL_TRACES_SAMPLER"], SAMPLERS, "parentbased_always_on");
  const root = name.endsWith("always_on")
    ? new AlwaysOnSampler()
    : name.endsWith("always_off")
      ? new AlwaysOffSampler()
      : new TraceIdRatioBasedSampler(reader.ratio("OTEL_TRACES_SAMPLER_ARG"));
  return name.startsWith("parentbased_") ? new ParentBasedSampler({ root }) : root;
}

/** Reads variables one by one, and notes what is wrong with them. */
class Reader {
  readonly problems = new Set<string>();
  readonly names = new Set<string>();
  readonly #env: Env;

  constructor(env: Env) {
    this.#env = env;
  }

  boolean(name: string): boolean {
    return this.oneOf([name], ["true", "false"], "false") === "true";
  }

  /** @param names the first one that is set counts, unless its word is not known */
  oneOf<T extends string>(names: readonly string[], known: readonly T[], fallback: T): T {
    for (const name of names) {
      const text = this.#text(name);
      if (text === undefined) continue;
      const word = known.find((one) => one === text.toLowerCase());
      if (word !== undefined) return word;
      this.#unknown(name, text, fallback);
    }
    return fallback;
  }

  list(name: string, known: readonly string[], fallback: readonly string[]): readonly string[] {
    const { chosen, unknown, isContradictory } = parseWords(this.#text(name), known, fallback);
    const used = chosen.join(",") || "none";
    for (const word of unknown) this.#unknown(name, word, used);
    if (isContradictory) {
      this.problems.add(`${name}: "none" beside others contradicts them; ${used} is used`);
    }
    return chosen;
  }

  /** A share from 0 to 1, 1 where nothing valid is given. */
  ratio(name: string): number {
    const text = this.#text(name);
    const value = text === undefined ? 1 : Number(text);
    if (value >= 0 && value <= 1) return value;
    this.problems.add(`${name}: "${text}" is no number from 0 to 1; 1 is used`);
    return 1;
  }

  /** A whole number from 0 on. */
  count(names: readonly string[], fallback: number): number {
    for (const name of names) {
      const text = this.#text(name);
      if (text === undefined) continue;
      if (/^\d{1,9}$/.test(text)) return Number(text);
      this.problems.add(`${name}: "${text}" is no whole number from 0 on; ${fallback} is used`);
    }
    return fallback;
  }

  #text(name: string): string | undefined {
    this.names.add(name);
    return this.#env[name]?.trim() || undefined;
  }

  #unknown(name: string, word: string, used: string): void {
    this.problems.add(`${name}: "${word}" is not known here; ${used} is used`);
  }
}
