// Lag watch: how far a consumer group is behind, and whether this member fetches what waits for it.
import type { Admin, Kafka } from "kafkajs";
import { gauge } from "#lib/telemetry/metrics/instruments.ts";
import { logger } from "#lib/telemetry/logs/logger.ts";
import { repeatEvery } from "#lib/waiting/repeating.ts";
import { settledWithin, unlessAborted } from "#lib/waiting/waiting.ts";
import { unreachableBrokers } from "./client.ts";
import { describeError } from "./errors.ts";

/** See {@link startLagWatch}. */
export interface LagWatchOptions {
  readonly kafka: Kafka;
  readonly groupId: string;
  readonly topic: string;
  /** The partitions that are this member's, each with the offset up to which it has fetched, if any. */
  readonly assigned: () => ReadonlyMap<number, bigint | undefined>;
  /** Whether a partition is left alone on purpose: consuming is paused, or there is no room. */
  readonly isHeldBack: (partition: number) => boolean;
  /** Called when a partition has brought nothing for so long that the membership should be begun anew. */
  readonly onStalled: (error: Error) => void;
  /** Limits, in milliseconds. @default {@link LIMITS} */
  readonly limits?: LagWatchLimits;
}

/** Limits, in milliseconds. */
export interface LagWatchLimits {
  /** How long between two looks. */
  readonly intervalMs: number;
  /** How long one look may take. */
  readonly lookTimeoutMs: number;
  /** Nothing comes though something waits: after so long it is told, */
  readonly tellAfterMs: number;
  /** and after so long the membership is begun anew. */
  readonly giveUpAfterMs: number;
}

/** A running watch. */
export interface LagWatch {
  /** What is wrong, for a person; undefined when all is well. */
  readonly problem: string | undefined;
  stop(): Promise<void>;
}

const LIMITS: LagWatchLimits = {
  intervalMs: 3_000,
  lookTimeoutMs: 5_000,
  tellAfterMs: 8_000,
  giveUpAfterMs: 45_000,
};
const DISCONNECT_WITHIN_MS = 1_000;

/** As of the last look; undefined before the first. Of the whole group, whoever of it looks. */
let groupLag: number | undefined;
gauge(
  "orderflow.consumer.lag",
  "Records that the consumer group has not finished yet.",
  "{message}",
  () => groupLag,
);

/**
 * Starts to watch.
 *
 * A member of a group that fetches nothing looks healthy to everyone: its heartbeats go on. So every few
 * seconds Kafka is asked how far the topic and the group are, which is held against what was fetched.
 */
export function startLagWatch(options: LagWatchOptions): LagWatch {
  const { kafka, groupId, topic, assigned, isHeldBack, onStalled } = options;
  const limits = options.limits ?? LIMITS;
  const stopping = new AbortController();
  const stalls = new Stalls(limits);
  let admin: Admin | undefined;
  let failingSinceMs: number | undefined;
  let failure = "";

  const watching = repeatEvery(limits.intervalMs, look, stopping.signal);

  async function look(): Promise<void> {
    try {
      const looking = AbortSignal.any([stopping.signal, AbortSignal.timeout(limits.lookTimeoutMs)]);
      admin ??= kafka.admin({ retry: { retries: 1 } });
      const offsets = await unlessAborted(readOffsets(admin, topic, groupId), looking);
      groupLag = offsets.reduce((sum, { behind }) => sum + behind, 0);
      failingSinceMs = undefined;
      const stalled = stalls.judge(offsets, assigned(), isHeldBack);
      if (stalled) onStalled(stalled);
    } catch (error) {
      failingSinceMs ??= performance.now();
      failure = describeError(error);
      logger.debug("the lag is not known", { error: failure });
      await closeAdmin();
    }
  }

  async function closeAdmin(): Promise<void> {
    const closing = admin;
    admin = undefined;
    if (closing) await settledWithin(closing.disconnect(), DISCONNECT_WITHIN_MS);
  }

  /** Brokers that do not answer are most often why. */
  function cause(): string {
    const unreachable = [...unreachableBrokers(kafka)].map(
      ([address, what]) => `${address} ${what}`,
    );
    return unreachable.length > 0 ? ` (broker ${unreachable.join(", broker ")})` : "";
  }

  return {
    get problem() {
      const stalled = stalls.problem;
      if (stalled !== undefined) return stalled + cause();
      if (failingSinceMs === undefined) return undefined;
      if (performance.now() - failingSinceMs < limits.tellAfterMs) return undefined;
      return `Kafka does not say how far ${topic} is: ${failure}${cause()}`;
    },
    async stop() {
      stopping.abort();
      await watching;
      await closeAdmin();
    },
  };
}

/** How far a partition and the group are in it. */
interface Offsets {
  readonly partition: number;
  /** The first record that is neither committed as finished nor gone. */
  readonly done: bigint;
  readonly end: bigint;
  readonly behind: number;
}

/** Kafka's own word on every partition: its end, what is committed, and what lies between. */
async function readOffsets(admin: Admin, topic: string, groupId: string): Promise<Offsets[]> {
  await admin.connect(); // does nothing where it is connected
  const ends = await admin.fetchTopicOffsets(topic);
  const [committed] = await admin.fetchOffsets({ groupId, topics: [topic] });
  const doneOf = new Map(
    committed?.partitions.map(({ partition, offset }) => [partition, BigInt(offset)]),
  );
  return ends.map(({ partition, low, high }) => {
    const done = maxOf(doneOf.get(partition) ?? -1n, BigInt(low));
    const end = BigInt(high);
    return { partition, done, end, behind: end > done ? Number(end - done) : 0 };
  });
}

/** A partition that brings nothing: since when, and from which offset on. */
interface Stall {
  readonly position: bigint;
  readonly sinceMs: number;
}

/** Our partitions that have something that we do not fetch. */
class Stalls {
  readonly #limits: LagWatchLimits;
  readonly #stalls = new Map<number, Stall>();

  constructor(limits: LagWatchLimits) {
    this.#limits = limits;
  }

  /** @returns what is wrong where one brings nothing for too long; then all begin anew */
  judge(
    offsets: readonly Offsets[],
    ours: ReturnType<LagWatchOptions["assigned"]>,
    isHeldBack: LagWatchOptions["isHeldBack"],
  ): Error | undefined {
    const nowMs = performance.now();
    for (const { partition, done, end } of offsets) {
      const position = maxOf(ours.get(partition) ?? 0n, done);
      const isOurs = ours.has(partition);
      if (!isOurs || position >= end || isHeldBack(partition)) {
        this.#stalls.delete(partition);
      } else if (this.#stalls.get(partition)?.position !== position) {
        this.#stalls.set(partition, { position, sinceMs: nowMs });
      }
    }
    const given = this.#lasting(this.#limits.giveUpAfterMs);
    if (!given) return undefined;
    this.#stalls.clear();
    return new Error(`nothing comes from ${given}`);
  }

  /** For a person; undefined where none brings nothing for so long that it is to be told. */
  get problem(): string | undefined {
    const told = this.#lasting(this.#limits.tellAfterMs);
    return told && `fetches nothing from ${told}, though records wait there`;
  }

  #lasting(ms: number): string | undefined {
    const nowMs = performance.now();
    const [partition, stall] = [...this.#stalls].find(([, one]) => nowMs - one.sinceMs >= ms) ?? [];
    return stall && `partition ${partition} for ${seconds(stall.sinceMs)} s`;
  }
}

function seconds(sinceMs: number): number {
  return Math.round((performance.now() - sinceMs) / 1000);
}

function maxOf(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
