/** The kills: who, when, and for how long, all drawn from the seed. */
import { SERVICES } from "#lib/service/services.ts";
import type { Random } from "./random.ts";
import { watchReadiness, type Unready } from "./readiness.ts";
import type { ChaosStack } from "./stack.ts";
import { inSeconds } from "../shared/figures.ts";
import { until } from "../shared/until.ts";
import { DOWN_MS, isNodeVictim, VICTIMS, type VictimName } from "./victims.ts";

/** One victim, down and up again. Times in milliseconds since 1970. */
export interface Outage {
  readonly victim: VictimName;
  readonly killedAtMs: number;
  /** When its restart began to count; see Victim.restart. */
  readonly upAtMs: number;
}

/** Victims that were down at a time, and how long it took until all was well. */
export interface Fault {
  readonly outages: readonly Outage[];
  /** When the last of them was restarted, milliseconds since 1970. */
  readonly upAtMs: number;
  /** When all services were ready again. */
  readonly readyAtMs: number;
  /** What was not ready, where that took longer than we wait. */
  readonly problem?: string;
  /** Who said meanwhile that it was not ready; where nothing was down but nodes of Kafka's cluster. */
  readonly unready?: readonly Unready[];
}

/** How many faults hit two victims at a time. */
const SHARE_PAIRS = 0.25;
/** In a pair: for so long the first is down before the second is killed. */
const STAGGER_MS = 1_000;
/** Down, each of these leaves the worker with orders that it cannot settle. */
const CALLED_BY_WORKER: readonly VictimName[] = [...SERVICES.worker.calls, "postgres"];
/** Longer than the contract's 20 s, to see by how much it is missed. */
const READY_WITHIN_MS = 60_000;

/**
 * Each victim once, in random order, before any comes again; some in pairs. The worker always dies while
 * something that it calls is down: then it has orders in hand, in the middle of their settling.
 * @param kills how many in all
 */
export function planKills(
  random: Random,
  kills: number,
  all: readonly VictimName[] = VICTIMS,
): VictimName[][] {
  const plan: VictimName[][] = [];
  for (let left = kills; left > 0;) {
    for (const victims of planRound(random, all)) {
      const taken = victims.slice(0, left);
      if (taken.length > 0) plan.push(taken);
      left -= taken.length;
    }
  }
  return plan;
}

function planRound(random: Random, all: readonly VictimName[]): VictimName[][] {
  const plan: VictimName[][] = [];
  const called = random.pick(CALLED_BY_WORKER);
  for (const victim of random.shuffle(all.filter((name) => name !== "worker"))) {
    const [first, second] = plan.at(-1) ?? [];
    const isFree =
      first !== undefined &&
      second === undefined &&
      first !== called &&
      !(isNodeVictim(first) && isNodeVictim(victim));
    if (isFree && victim !== called && random.next() < SHARE_PAIRS) plan.at(-1)?.push(victim);
    else plan.push([victim]);
  }
  plan.find(([first]) => first === called)?.push("worker");
  return plan;
}

/**
 * Lets one fault after the other happen, at moments spread over the time of the load.
 * @param seconds how long the load lasts
 * @param tell told when victims are killed, and when all is well again
 */
export async function runKills(
  stack: ChaosStack,
  random: Random,
  plan: readonly (readonly VictimName[])[],
  seconds: number,
  tell: (line: string) => void,
): Promise<Fault[]> {
  const startedMs = performance.now();
  const slotMs = (seconds * 1000) / plan.length;
  const faults: Fault[] = [];
  for (const [index, victims] of plan.entries()) {
    const dueMs = startedMs + (index + random.next() * 0.5) * slotMs;
    const downMs = victims.map((name) => {
      const { min, max } = stack.victims.get(name)?.downMs ?? DOWN_MS;
      return random.integer(min, max);
    });
    await Bun.sleep(Math.max(0, dueMs - performance.now()));
    tell(victims.map((victim) => `${stack.victims.get(victim)?.means} ${victim}`).join(", then "));
    const watch = victims.every(isNodeVictim) ? watchReadiness(stack) : undefined;
    const fault = await takeDown(stack, victims, downMs);
    const unready = await watch?.end();
    tell(describeFault(fault));
    faults.push(unready ? { ...fault, unready } : fault);
  }
  return faults;
}

/**
 * Takes victims down, each a second after the one before and while that is still down; restarts them, and
 * waits until all services are ready again.
 * @param downMs how long each stays down; a pair's first one a second longer
 */
export async function takeDown(
  stack: ChaosStack,
  names: readonly VictimName[],
  downMs: readonly number[],
): Promise<Fault> {
  const outages = await Promise.all(
    names.map(async (name, index) => {
      await Bun.sleep(index * STAGGER_MS);
      const waitMs = (names.length - 1 - index) * STAGGER_MS;
      return await killAndRestart(stack, name, (downMs[index] ?? 0) + waitMs);
    }),
  );
  const upAtMs = Math.max(...outages.map((outage) => outage.upAtMs));
  let waitingFor: string[] = [];
  try {
    await until(
      "all services are ready",
      async () => (waitingFor = await stack.notReady()).length === 0,
      READY_WITHIN_MS,
    );
  } catch {
    return { outages, upAtMs, readyAtMs: Date.now(), problem: waitingFor.join("; ") };
  }
  return { outages, upAtMs, readyAtMs: Date.now() };
}

/** A fault in one line. */
export function describeFault({ outages, upAtMs, readyAtMs, problem }: Fault): string {
  const downs = outages.map(({ victim, killedAtMs, upAtMs }) => {
    return `${victim} was down ${inSeconds(upAtMs - killedAtMs)}`;
  });
  const ready = problem ? `NOT ready: ${problem}` : "all ready";
  return `${downs.join(", ")}; ${ready} ${inSeconds(readyAtMs - upAtMs)} after the restart`;
}

async function killAndRestart(
  stack: ChaosStack,
  name: VictimName,
  downMs: number,
): Promise<Outage> {
  const victim = stack.victims.get(name);
  if (!victim) throw new Error(`there is no ${name} to kill`);
  const killedAtMs = Date.now();
  await victim.kill();
  await Bun.sleep(downMs);
  return { victim: name, killedAtMs, upAtMs: await victim.restart() };
}
