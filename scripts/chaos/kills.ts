/** The kills: who, when, and for how long, all drawn from the seed. */
import type { Random } from "./random.ts";
import { VICTIMS, type ChaosStack, type VictimName } from "./stack.ts";
import { until } from "./until.ts";

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
}

const DOWN_MS = { min: 100, max: 2_500 };
/** How many faults hit two victims at a time. */
const SHARE_PAIRS = 0.25;
/** Longer than the contract's 20 s, to see by how much it is missed. */
const READY_WITHIN_MS = 60_000;

/**
 * Each victim once, in random order, before any comes again; some in pairs.
 * @param kills how many in all
 */
export function planKills(random: Random, kills: number): VictimName[][] {
  const order: VictimName[] = [];
  while (order.length < kills) order.push(...random.shuffle(VICTIMS));
  const plan: VictimName[][] = [];
  for (const victim of order.slice(0, kills)) {
    const last = plan.at(-1);
    const isPair = random.next() < SHARE_PAIRS;
    if (isPair && last?.length === 1 && !last.includes(victim)) last.push(victim);
    else plan.push([victim]);
  }
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
    const downMs = victims.map(() => random.integer(DOWN_MS.min, DOWN_MS.max));
    await Bun.sleep(Math.max(0, dueMs - performance.now()));
    for (const victim of victims) tell(`${stack.victims.get(victim)?.means} ${victim}`);
    const fault = await takeDown(stack, victims, downMs);
    tell(describeFault(fault));
    faults.push(fault);
  }
  return faults;
}

/**
 * Takes victims down, restarts them, and waits until all services are ready again.
 * @param downMs how long each stays down
 */
export async function takeDown(
  stack: ChaosStack,
  names: readonly VictimName[],
  downMs: readonly number[],
): Promise<Fault> {
  const outages = await Promise.all(
    names.map((name, index) => killAndRestart(stack, name, downMs[index] ?? 0)),
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
    return `${victim} was down ${seconds(upAtMs - killedAtMs)}`;
  });
  const ready = problem ? `NOT ready: ${problem}` : "all ready";
  return `${downs.join(", ")}; ${ready} ${seconds(readyAtMs - upAtMs)} after the restart`;
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

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}
