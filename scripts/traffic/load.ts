/** A load on the gateway: how fast it answers when requests come whether it is ready for them or not. */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import type { Order } from "#lib/orders/order.ts";
import { figuresTable } from "../shared/markdown-table.ts";
import { answerOf } from "../shared/gateway.ts";
import { startArrivals } from "./arrivals.ts";
import { drawKind, KIND_NAMES, KINDS, type KindName, type Mix } from "./mix.ts";

export interface LoadOptions {
  readonly gatewayUrl: string;
  /** Requests a second. */
  readonly rate: number;
  readonly seconds: number;
  readonly mix: Mix;
  readonly inFlightMax: number;
  /** When it aborts, no more requests are begun. */
  readonly signal: AbortSignal;
  /** Told of how far it is, about once a second. */
  readonly onProgress: (line: string) => void;
}

export interface LoadReport {
  /** Over all kinds. */
  readonly answered: number;
  readonly failed: number;
  /** Requests that came, and could not be sent before the time was over. */
  readonly unsent: number;
  readonly seconds: number;
  /** From when a request came to the end of its answer: what waited for its turn is not forgotten. */
  readonly latencyMs: { readonly p50: number; readonly p95: number; readonly p99: number };
  /** A row for each kind, and one for all of them. */
  readonly table: string;
  /** What went wrong, and how often; the most frequent first. */
  readonly problems: readonly (readonly [what: string, count: number])[];
}

const PROGRESS_EVERY_MS = 1_000;
/** Orders that are read again. */
const ORDERS_KNOWN_MAX = 1_000;
/** Different problems that are told. */
const PROBLEMS_MAX = 20;
const PROBLEM_CHARS_MAX = 120;
/** The queue in front of a gateway that is too slow: it is not worked off for ever. */
const OVERTIME_MS = 5_000;
/** In microseconds: an hour, beyond which everything is the same. */
const LATENCY_MAX = 3_600_000_000;

/** Runs the load, and waits for the last answers. */
export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  const countMax = Math.ceil(options.rate * options.seconds);
  const all = new Measured();
  const kinds = new Map(KIND_NAMES.map((name) => [name, new Measured()]));
  const problems = new Map<string, number>();
  const orderIds: string[] = [];
  const startedMs = performance.now();

  const arrive = async (_: number, dueMs: number) => {
    const kind = drawKind(options.mix);
    const problem = await ask(kind);
    const latency = Math.round((performance.now() - dueMs) * 1_000);
    for (const measured of [all, kinds.get(kind)]) measured?.add(latency, problem !== undefined);
    if (problem !== undefined) count(problems, problem);
  };

  /** @returns what was wrong */
  const ask = async (kind: KindName): Promise<string | undefined> => {
    const { method, path, body, status: expected } = KINDS[kind](orderIds);
    try {
      const { status, text } = await answerOf(options.gatewayUrl + path, {
        method,
        ...(body && {
          body: JSON.stringify(body),
          headers: { "content-type": "application/json" },
        }),
      });
      if (status !== expected) return `${kind}: ${status} ${text.slice(0, PROBLEM_CHARS_MAX)}`;
      if (status === 201) note(orderIds, (JSON.parse(text) as Order).id);
      return undefined;
    } catch (error) {
      return `${kind}: ${String(error).slice(0, PROBLEM_CHARS_MAX)}`;
    }
  };

  const arrivals = startArrivals({ ...options, countMax, arrive });
  const seconds = () => (performance.now() - startedMs) / 1_000;
  const progress = setInterval(() => {
    const sent = `${seconds().toFixed(0).padStart(4)} s  ${arrivals.begun}/${countMax} sent`;
    const [p50, p99] = [50, 99].map((one) => show(all.percentile(one)));
    const answered = `${all.failed} failed  p50 ${p50}  p99 ${p99}`;
    options.onProgress(`${sent}  ${arrivals.inFlight} under way  ${answered}`);
  }, PROGRESS_EVERY_MS);
  const endMs = startedMs + options.seconds * 1_000 + OVERTIME_MS;
  while (arrivals.begun < countMax && performance.now() < endMs && !options.signal.aborted) {
    await Bun.sleep(10);
  }
  await arrivals.stop();
  clearInterval(progress);

  // The last one may come, and be answered, before its second is over.
  const elapsed = options.signal.aborted ? seconds() : Math.max(seconds(), options.seconds);
  return {
    answered: all.answered,
    failed: all.failed,
    unsent: options.signal.aborted ? 0 : countMax - arrivals.begun,
    seconds: elapsed,
    latencyMs: { p50: all.percentile(50), p95: all.percentile(95), p99: all.percentile(99) },
    table: tableOf([...kinds, ["all", all]], elapsed),
    problems: [...problems].sort(([, a], [, b]) => b - a),
  };
}

function tableOf(measured: readonly (readonly [string, Measured])[], seconds: number): string {
  const rows = measured.filter(([, { answered }]) => answered > 0);
  return figuresTable(
    ["", "answers", "a second", "failed", "p50", "p95", "p99", "longest"],
    rows.map(([name, one]) => [name, ...one.row(seconds)]),
  );
}

/** Latencies of one kind of request, in microseconds. */
class Measured {
  answered = 0;
  failed = 0;
  readonly #latencies: RecordableHistogram = createHistogram({ lowest: 1, highest: LATENCY_MAX });

  add(latency: number, hasFailed: boolean): void {
    this.answered += 1;
    if (hasFailed) this.failed += 1;
    this.#latencies.record(Math.min(Math.max(1, latency), LATENCY_MAX));
  }

  /** @returns milliseconds; 0 where there was none */
  percentile(percent: number): number {
    return this.answered === 0 ? 0 : this.#latencies.percentile(percent) / 1_000;
  }

  row(seconds: number): string[] {
    return [
      String(this.answered),
      (this.answered / seconds).toFixed(1),
      String(this.failed),
      ...[50, 95, 99, 100].map((percent) => show(this.percentile(percent))),
    ];
  }
}

function count(problems: Map<string, number>, problem: string): void {
  const known = problems.get(problem);
  if (known === undefined && problems.size >= PROBLEMS_MAX) return;
  problems.set(problem, (known ?? 0) + 1);
}

function note(orderIds: string[], id: string): void {
  orderIds.push(id);
  if (orderIds.length > ORDERS_KNOWN_MAX) orderIds.shift();
}

function show(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}
