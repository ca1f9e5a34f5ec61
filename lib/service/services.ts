/**
 * Which services there are, and what each needs: the one place. What can read it does (the services, the demo,
 * the tests, chaos); into what cannot (compose, Kubernetes, Prometheus, Dockerfile, Makefile, docs) it is written
 * by `bun run generate`.
 */

/** What is to be known of a service. */
export interface ServiceFacts {
  /** What it is, for a person. */
  readonly what: string;
  /** Where it listens, unless PORT says otherwise. */
  readonly port: number;
  /** Whether it needs PostgreSQL, and so POSTGRES_URL. */
  readonly postgres?: true;
  /** Whether it needs Kafka, and so KAFKA_BROKERS. */
  readonly kafka?: true;
  /** Whether it is reached from outside, and not by the other services alone. */
  readonly edge?: true;
  /** Whom it calls over HTTP, and so needs the address of: see {@link urlVariable}. */
  readonly calls: readonly string[];
}

export const SERVICES = {
  gateway: { what: "the gateway", port: 8080, edge: true, calls: ["orders", "inventory"] },
  orders: { what: "the orders service", port: 8081, postgres: true, kafka: true, calls: [] },
  inventory: { what: "the inventory service", port: 8082, postgres: true, calls: [] },
  worker: {
    what: "the worker",
    port: 8083,
    kafka: true,
    calls: ["orders", "inventory", "email"],
  },
  email: { what: "the e-mail service", port: 8084, calls: [] },
} as const satisfies Readonly<Record<string, ServiceFacts>>;

export type ServiceName = keyof typeof SERVICES;

export const SERVICE_NAMES = Object.keys(SERVICES) as readonly ServiceName[];

/** Those that each order goes through, from the request to the mail. */
export const ORDER_SERVICES = [
  "gateway",
  "orders",
  "inventory",
  "worker",
  "email",
] as const satisfies readonly ServiceName[];

/** What they are a part of: `service.namespace` of all their telemetry. */
export const SERVICE_NAMESPACE = "orderflow";

/** The same, for any of them. */
export function factsOf(name: ServiceName): ServiceFacts {
  return SERVICES[name];
}

/** Those that call a service. */
export function callersOf(name: ServiceName): ServiceName[] {
  return SERVICE_NAMES.filter((other) => factsOf(other).calls.includes(name));
}

/** Those whom another one calls. */
export const CALLED_NAMES: readonly ServiceName[] = SERVICE_NAMES.filter(
  (name) => callersOf(name).length > 0,
);

/** Whom a service calls. */
export type CalledBy<Name extends ServiceName> = (typeof SERVICES)[Name]["calls"][number];

/**
 * Something for each of those whom a service calls.
 * @param make what there is for one of them
 */
export function forEachCalled<Name extends ServiceName, Value>(
  name: Name,
  make: (called: CalledBy<Name>) => Value,
): Readonly<Record<CalledBy<Name>, Value>> {
  const calls: readonly CalledBy<Name>[] = SERVICES[name].calls;
  const made = calls.map((called) => [called, make(called)] as const);
  return Object.fromEntries(made) as Record<CalledBy<Name>, Value>;
}

/** The variable by which others are told where a service is. */
export function urlVariable(name: string): string {
  return `${name.toUpperCase()}_SERVICE_URL`;
}

/** Values for the variables that a service cannot do without. */
export function neededBy<Value>(
  name: ServiceName,
  valueOf: { postgres: () => Value; kafka: () => Value; url: (name: ServiceName) => Value },
): Record<string, Value> {
  const { postgres, kafka, calls } = factsOf(name);
  return {
    ...(postgres && { POSTGRES_URL: valueOf.postgres() }),
    ...(kafka && { KAFKA_BROKERS: valueOf.kafka() }),
    ...Object.fromEntries(
      (calls as readonly ServiceName[]).map((other) => [urlVariable(other), valueOf.url(other)]),
    ),
  };
}

/**
 * In which order they are ended: callers before those whom they call, since what they have in hand still
 * needs them.
 * @returns groups, each to be ended at once
 */
export function endingOrder(): ServiceName[][] {
  const left = new Set<ServiceName>(SERVICE_NAMES);
  const groups: ServiceName[][] = [];
  while (left.size > 0) {
    const called = new Set([...left].flatMap((name) => factsOf(name).calls));
    const group = [...left].filter((name) => !called.has(name));
    if (group.length === 0) throw new Error(`these call each other: ${[...left].join(", ")}`);
    for (const name of group) left.delete(name);
    groups.push(group);
  }
  return groups;
}
