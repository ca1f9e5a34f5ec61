/** What services say of themselves while a node of Kafka's cluster is away. */
import { inSeconds } from "../shared/figures.ts";
import { check, type Check } from "./check.ts";
import type { Fault } from "./kills.ts";
import type { ChaosStack } from "./stack.ts";

/** A time in which a service said that it was not ready. Times in milliseconds since 1970. */
export interface Unready {
  readonly service: string;
  /** What it said at first. */
  readonly reason: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface ReadinessWatch {
  /** Looks a last time. */
  end(): Promise<Unready[]>;
}

const LOOK_INTERVAL_MS = 500;
/**
 * For so long the worker may consume nothing: a node that went silent is fenced after 9 s, requests to it
 * are given up after 10, and a group whose coordinator it was is joined again within 10.
 */
const WORKER_UNREADY_MAX_MS = 30_000;
/**
 * A starved machine's database answers late for some seconds, and that is no proof. Whoever needed the node
 * would be not ready for longer: nobody is back from a kill sooner, and none is frozen for less.
 */
const OTHERS_UNREADY_MAX_MS = 8_000;

/** Asks all services again and again. */
export function watchReadiness(stack: Pick<ChaosStack, "notReady">): ReadinessWatch {
  const open = new Map<string, { reason: string; fromMs: number; toMs: number }>();
  const over: Unready[] = [];
  const ending = new AbortController();

  const look = async () => {
    const nowMs = Date.now();
    const reasons = new Map(
      (await stack.notReady()).map((text) => [text.split(" ")[0] ?? "", text]),
    );
    for (const [service, reason] of reasons) {
      const since = open.get(service) ?? { reason, fromMs: nowMs };
      open.set(service, { ...since, toMs: nowMs });
    }
    for (const [service, since] of open) {
      if (reasons.has(service)) continue;
      over.push({ service, ...since });
      open.delete(service);
    }
  };
  const watching = (async () => {
    while (!ending.signal.aborted) {
      await look();
      await Bun.sleep(LOOK_INTERVAL_MS);
    }
    await look();
  })();

  return {
    async end() {
      ending.abort();
      await watching;
      return [...over, ...[...open].map(([service, since]) => ({ service, ...since }))];
    },
  };
}

/** Orders are accepted without Kafka, so only the worker may say that it is not ready, and not for long. */
export function checkReadiness(faults: readonly Fault[]): Check {
  const watched = faults.filter(({ unready }) => unready !== undefined);
  const all = watched.flatMap(({ outages, unready = [] }) => {
    const names = outages.map(({ victim }) => victim).join(" and ");
    return unready.map((one) => ({ ...one, names }));
  });
  const worker = all.filter(({ service }) => service === "worker");
  const longestMs = Math.max(0, ...worker.map(tookMs));
  return check(
    "while a Kafka node is away only the worker may be not ready, for 30 s",
    `${watched.length} faults, the worker for ${inSeconds(longestMs)} at most`,
    all
      .filter((one) => {
        const isWorker = one.service === "worker";
        return tookMs(one) > (isWorker ? WORKER_UNREADY_MAX_MS : OTHERS_UNREADY_MAX_MS);
      })
      .map((one) => `${one.names}: for ${inSeconds(tookMs(one))} ${one.reason}`),
  );
}

function tookMs({ fromMs, toMs }: Unready): number {
  return toMs - fromMs;
}
