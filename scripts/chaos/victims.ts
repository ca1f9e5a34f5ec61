/** Who can be taken down in a chaos run, and what a victim can do. */

import { SERVICE_NAMES, type ServiceName } from "#lib/service/services.ts";

/** What happens to a cluster of Kafka nodes, in place of the death of a single broker. */
const NODE_VICTIMS = ["node", "controller", "leader", "nodes in turn"] as const;
export type NodeVictimName = (typeof NODE_VICTIMS)[number];

export type VictimName = ServiceName | "kafka" | "postgres" | "traces" | NodeVictimName;
export const VICTIMS: readonly VictimName[] = [...SERVICE_NAMES, "kafka", "postgres", "traces"];
export const CLUSTER_VICTIMS: readonly VictimName[] = [
  ...SERVICE_NAMES,
  ...NODE_VICTIMS,
  "postgres",
  "traces",
];

export interface Victim {
  readonly name: VictimName;
  /** How it is taken down. */
  readonly means: "kill -9" | "SIGSTOP" | "SIGTERM";
  /** For how long it is down, in milliseconds. */
  readonly downMs: { readonly min: number; readonly max: number };
  kill(): Promise<void>;
  /**
   * @returns when the 20 s begin in which all services must be ready, in milliseconds since 1970: for a
   *   service its start, for what services need the moment it answers
   */
  restart(): Promise<number>;
}

/** Unless a victim has its own. */
export const DOWN_MS = { min: 100, max: 2_500 };

/** Whether it is one of a Kafka cluster's: two of them at a time are more than the cluster can take. */
export function isNodeVictim(name: VictimName): name is NodeVictimName {
  return (NODE_VICTIMS as readonly VictimName[]).includes(name);
}
