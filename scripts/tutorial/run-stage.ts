/** A stage's programs, one order, and what came of it. */
import type { OtlpTrace } from "#lib/embedded/traces/otlp.ts";
import { forPeople } from "../shared/terminal.ts";
import { renderWaterfall, type WaterfallOptions } from "../shared/waterfall.ts";
import { NewTraces } from "./new-traces.ts";
import type { Parts } from "./parts.ts";
import { quiet } from "./quiet.ts";
import type { Stage } from "./stages.ts";
import { ReaderError, startSystem, type System } from "./system/index.ts";

/** See {@link runStage}. */
export interface RunOptions {
  readonly folder: string;
  readonly stage: Stage;
  readonly parts: Parts;
  /** Whether it goes on until the signal, and draws what traces come then. */
  readonly stay: boolean;
  readonly waterfall: WaterfallOptions;
  readonly say: (text: string) => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

const CONFIRMED_TIMEOUT_MS = 10_000;
/** A stage without telemetry has none to wait for. */
const SPANS_TIMEOUT_MS = 3_000;

/**
 * Starts the programs, places one order, and shows lines and traces.
 * @throws ReaderError where a program does not run; the signal's reason before all is shown
 */
export async function runStage(options: RunOptions): Promise<void> {
  const { stage, parts, stay, waterfall, say, signal } = options;
  let isStaying = false;
  await using system = await startSystem({
    ...options,
    preferPorts: true,
    onLine: (program, line) => {
      if (isStaying) say(`${program}: ${line}`);
    },
    onUnexpectedEnd: (error) => {
      if (isStaying) say(error.message);
    },
  });
  const order = await system.placeOrder();
  const isConfirmed = await system.confirmed(order.id, CONFIRMED_TIMEOUT_MS);
  await system.spansWhen(quiet(), SPANS_TIMEOUT_MS);

  say(`POST ${forPeople(system.urls.gateway)}/orders`);
  say(`order ${order.id} is ${isConfirmed ? "confirmed" : "not confirmed yet"}\n`);
  for (const program of stage.programs) {
    for (const line of system.output(program)) say(`${program.padEnd(10)}${line}`);
  }
  const show = (traceId: string, trace: OtlpTrace) => {
    say(`\n${renderWaterfall(trace, waterfall).trimEnd()}`);
    say(`${forPeople(parts.queryUrl)}/trace/${traceId}`);
  };
  const newTraces = new NewTraces(system);
  const traces = newTraces.take();
  if (traces.length === 0) say("\nno trace: nothing made a span");
  for (const { traceId, trace } of traces) show(traceId, trace);
  const crash = system.crashes()[0];
  if (crash) throw crash;
  if (!isConfirmed) {
    throw new ReaderError(
      `the order was not confirmed within ${CONFIRMED_TIMEOUT_MS / 1_000} s: does the worker get its record?`,
    );
  }
  if (!stay) return;
  say(`\n${whereToSend(system)}`);
  isStaying = true;
  await newTraces.showUntil(signal, show, say).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

function whereToSend({ urls }: System): string {
  const gateway = forPeople(urls.gateway);
  return [
    "It stays until Ctrl-C, and draws new traces as they come. Send it something:",
    `  curl -i ${gateway}/orders -H 'content-type: application/json' \\`,
    `    -d '{"customer":"ada","items":[{"item":"mouse","quantity":1}]}'`,
    `  curl -i ${gateway}/orders`,
    `The orders service itself is at ${forPeople(urls.orders)}.`,
    "",
  ].join("\n");
}
