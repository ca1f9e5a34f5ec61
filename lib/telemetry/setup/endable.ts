/**
 * Exporters that can be given up. While one waits for an answer, or for its next try, its timers and
 * sockets keep the process alive: with a collector that hangs, for half a minute after the work is done.
 */
import { diag } from "@opentelemetry/api";
import { ExportResultCode, type ExportResult } from "@opentelemetry/core";

type Done = (result: ExportResult) => void;

interface Transport {
  send(data: Uint8Array, timeoutMs: number): Promise<unknown>;
}

/**
 * Makes an exporter end what it waits for as soon as `ending` aborts: as failed, so that it is counted.
 * The connections are the agent's to close (collector-agent.ts). Without the abort nothing is different,
 * but that the time between two tries keeps no process alive.
 * @param exporter is changed in place
 * @returns the same exporter
 */
export function endable<Items, E extends { export(items: Items, done: Done): void }>(
  exporter: E,
  ending: AbortSignal,
): E {
  const waiting = new Set<Done>();
  const send = exporter.export.bind(exporter);
  exporter.export = (items: Items, done: Done) => {
    if (ending.aborted) {
      done(givenUp());
      return;
    }
    const once: Done = (result) => {
      if (waiting.delete(once)) done(result);
    };
    waiting.add(once);
    send(items, once);
  };
  ending.addEventListener("abort", () => {
    for (const done of waiting) done(givenUp());
  });
  unrefRetries(exporter);
  return exporter;
}

function givenUp(): ExportResult {
  return { code: ExportResultCode.FAILED, error: new Error("the export was given up at the end") };
}

/**
 * The exporter has no option for its timers, so their function is put where it keeps its own. With a
 * version that keeps it elsewhere a process may live some seconds longer than it was given.
 */
function unrefRetries(exporter: object): void {
  const delegate: unknown = Reflect.get(exporter, "_delegate");
  const retrying: unknown = delegate instanceof Object && Reflect.get(delegate, "_transport");
  const inner: unknown = retrying instanceof Object && Reflect.get(retrying, "_transport");
  if (!(retrying instanceof Object) || !isTransport(inner) || !("retry" in retrying)) {
    diag.warn("an exporter keeps its retries elsewhere; they may hold up the end of the process");
    return;
  }
  Reflect.set(retrying, "retry", (data: Uint8Array, timeoutMs: number, delayMs: number) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    setTimeout(() => inner.send(data, timeoutMs).then(resolve, reject), delayMs).unref();
    return promise;
  });
}

function isTransport(value: unknown): value is Transport {
  return value instanceof Object && typeof Reflect.get(value, "send") === "function";
}
