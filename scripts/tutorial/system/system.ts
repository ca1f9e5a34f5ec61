/** What a check, or a run that is looked at, can do with a stage's running programs, and see of them. */
import type { OtlpTrace } from "#lib/embedded/traces/otlp.ts";
import type { Program } from "../stages.ts";
import type { Collector } from "./collector.ts";
import type { NewRecord, SeenRecord } from "./kafka.ts";
import type { StoppedProgram } from "./programs.ts";
import type { ReaderError } from "./reader-error.ts";
import type { Fault, Hop } from "./recording-proxy.ts";
import type { SeenLog, SeenMetric } from "./seen-metric.ts";
import type { SeenSpan } from "./seen-span.ts";

/** What a program answered. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** @throws ReaderError where the text is not JSON */
  json(): unknown;
}

/** See {@link System.request}. */
export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON, a string as it is. */
  readonly body?: unknown;
  /** Hangs up. */
  readonly signal?: AbortSignal;
  /** @default 10_000 */
  readonly timeoutMs?: number;
}

/** An order to be placed; everything has a default. */
export interface NewOrder {
  readonly customer?: string;
  /** @default two different ones */
  readonly items?: readonly { readonly item: string; readonly quantity: number }[];
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * A stage's programs, running, with everything that goes over the wire seen.
 *
 * What waits (`…When`) gives what is there when its condition holds or its time is over: whether it
 * holds is for the caller to judge. @default timeoutMs 4000
 */
export interface System extends AsyncDisposable {
  /** Base URLs without a slash at their end; "" for a program that does not listen or is not there. */
  readonly urls: Readonly<Record<Program, string>>;
  /** Its database, for what {@link rows} is not enough for. */
  readonly postgresUrl: string;
  readonly kafkaBrokers: string;

  /**
   * Asks a program itself, past the recording proxies.
   * @throws ReaderError where no answer comes; the signal's reason
   */
  request(
    program: Program,
    method: string,
    path: string,
    options?: RequestOptions,
  ): Promise<Answer>;
  /** Places an order at the gateway. @throws ReaderError where the answer is not 201 with an id */
  placeOrder(order?: NewOrder): Promise<Answer & { readonly id: string }>;

  /** Spans in the order of their arrival, at most 20,000. */
  spans(): readonly SeenSpan[];
  /** Looks on for 200 ms after the condition holds, so that what should not come is seen too. */
  spansWhen(
    condition: (spans: readonly SeenSpan[]) => boolean,
    timeoutMs?: number,
  ): Promise<readonly SeenSpan[]>;
  /** The same spans as traces, for drawing. */
  traces(): readonly OtlpTrace[];
  /** The latest point of each series. */
  metrics(): readonly SeenMetric[];
  /** Records that came over OTLP. */
  logs(): readonly SeenLog[];
  readonly collector: Collector;

  /** HTTP requests between the programs, as they crossed the wire, in the order of their arrival. */
  hops(): readonly Hop[];
  /** What becomes of the next requests of a program to another. @param to default: orders */
  disturb(from: Program, fault: Fault, to?: Program): void;

  /** @returns what is in a topic now, of each partition in its order; nothing where there is no such topic */
  records(topic: string): Promise<readonly SeenRecord[]>;
  recordsWhen(
    topic: string,
    condition: (records: readonly SeenRecord[]) => boolean,
    timeoutMs?: number,
  ): Promise<readonly SeenRecord[]>;
  /**
   * @param what.program default: worker; its consumer group has its name
   * @param what.topic default: order.created
   * @returns whether it has done with all that is in the topic, or came to have in time: as kafkajs
   *   commits after `eachMessage`, its spans have ended then
   */
  consumed(what?: {
    readonly program?: Program;
    readonly topic?: string;
    readonly timeoutMs?: number;
  }): Promise<boolean>;
  /** Several records go in one request. */
  produce(topic: string, ...records: readonly NewRecord[]): Promise<void>;

  /**
   * Asks the run's database, always on the same one connection: "BEGIN" holds until "COMMIT".
   * @param values for $1, $2, …
   * @throws ReaderError where it refuses: a table of the reader's schema may not be there
   */
  rows<Row>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  rowsWhen<Row>(
    text: string,
    condition: (rows: readonly Row[]) => boolean,
    timeoutMs?: number,
  ): Promise<readonly Row[]>;
  /** @returns whether an order's status is `confirmed`, as the worker sets it, or came to be in time */
  confirmed(id: string, timeoutMs?: number): Promise<boolean>;
  /** What PostgreSQL itself says it got from the programs, in its order. */
  statements(): Promise<readonly string[]>;

  /** Looks at anything until it satisfies. */
  when<T>(
    look: () => T | Promise<T>,
    condition: (seen: T) => boolean,
    timeoutMs?: number,
  ): Promise<T>;

  /** What a program wrote, oldest line first. To show, not to judge. */
  output(program: Program): readonly string[];
  /** Programs that ended without being told to, since the start or {@link forget}. */
  crashes(): readonly ReaderError[];
  /** Whether all programs run. */
  readonly isWhole: boolean;

  /** Ends it by SIGKILL. */
  kill(program: Program): Promise<void>;
  /** Sends SIGTERM, SIGKILL 5 s later. @param program default: all */
  stop(program?: Program): Promise<readonly StoppedProgram[]>;
  /** Starts it on the port that it had. @throws ReaderError where it does not become ready */
  start(program: Program): Promise<void>;
  /** {@link stop} and {@link start}. */
  restart(program: Program): Promise<void>;

  /**
   * Forgets spans, metrics, logs, hops, lines and crashes, and ends what was done to collector and
   * network, once nothing has come for a moment: what is seen next is of what is done next. Rows,
   * records, statements and the collector's counts stay.
   */
  forget(): Promise<void>;
}
