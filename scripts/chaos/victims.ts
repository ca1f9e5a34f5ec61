/** Who can be taken down in a chaos run, and what a victim can do. */

export const SERVICES = ["gateway", "orders", "inventory", "worker", "email"] as const;
export type ServiceName = (typeof SERVICES)[number];

/** What happens to a cluster of Kafka nodes, in place of the death of a single broker. */
export const NODE_VICTIMS = ["node", "controller", "leader", "nodes in turn"] as const;
export type NodeVictimName = (typeof NODE_VICTIMS)[number];

export const VICTIMS = [...SERVICES, "kafka", "postgres", "traces"] as const;
export const CLUSTER_VICTIMS = [...SERVICES, ...NODE_VICTIMS, "postgres", "traces"] as const;
export type VictimName = (typeof VICTIMS)[number] | NodeVictimName;

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
