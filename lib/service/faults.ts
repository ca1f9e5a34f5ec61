/**
 * Learning switches: named faults that can be switched on to see what a trace of them looks like.
 * docs/faults.md shows the trace of each.
 *
 * At the start by ORDERFLOW_FAULTS, a comma-separated list; each service heeds those that are its
 * own. At run time by `PUT /faults`, which is there only with ORDERFLOW_FAULTS_ENDPOINT=on. A span
 * that a fault has struck says so in `orderflow.fault`.
 */
import { trace } from "@opentelemetry/api";
import { Type } from "@sinclair/typebox";
import { logger } from "#lib/telemetry/logs/logger.ts";
import type { createBaseApp } from "./app.ts";
import { ConfigError, oneOf, type Env } from "./config.ts";
import { BadInputError } from "./errors.ts";

/** On a span that a fault has struck. */
const ATTR_FAULT = "orderflow.fault";

/** What each fault does, in which service; and of how many chances it takes the first. */
export const FAULTS = {
  /** A statement that takes {@link SLOW_SQL_SECONDS}: one long bar in the trace. */
  "slow-sql": { does: "orders: the statement that lists orders takes 2 s", everyNth: 1 },
  /** Failures that pass: the worker tries again, and each try is a span. */
  "failing-email": { does: "email: every other POST /send is answered 503", everyNth: 2 },
  /** A record that nobody can read: it becomes a dead letter, and the order itself is not held up. */
  "poison-message": {
    does: "orders: behind each order's event comes a record that is not JSON",
    everyNth: 1,
  },
  /** A refusal by the business: no retry, the order is cancelled. */
  "lost-inventory": {
    does: "inventory: no item can be reserved, for it is not there (404)",
    everyNth: 1,
  },
  /** A service that is up and too slow: its callers give up, and the work they left goes on. */
  "hanging-inventory": {
    does: "inventory: a stock item is answered 8 s late, after its caller has given up",
    everyNth: 1,
  },
} as const satisfies Record<string, { does: string; everyNth: number }>;

export type FaultName = keyof typeof FAULTS;

/** How long `slow-sql` sleeps in PostgreSQL; less than the statement timeout. */
export const SLOW_SQL_SECONDS = 2;
/** How long `hanging-inventory` waits; more than the 5 s after which a caller gives up. */
export const HANGING_INVENTORY_MS = 8_000;
/** What `poison-message` publishes: JSON that breaks off. */
export const POISON_VALUE = '{"order_id": ';

export interface FaultsConfig {
  /** On from the start. */
  on: FaultName[];
  /** Whether `GET` and `PUT /faults` are there. */
  endpoint: boolean;
}

/** Reads ORDERFLOW_FAULTS and ORDERFLOW_FAULTS_ENDPOINT. @throws ConfigError that names the variable */
export function loadFaults(env: Env): Readonly<FaultsConfig> {
  const names = (env["ORDERFLOW_FAULTS"] ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter(Boolean);
  if (!names.every(isFaultName)) throw new ConfigError(`ORDERFLOW_FAULTS ${EXPECTED}`);
  const endpoint = oneOf(env, "ORDERFLOW_FAULTS_ENDPOINT", ["on", "off"], "off") === "on";
  return { on: names, endpoint };
}

/** Switches exactly these faults on, all others off. */
export function switchFaults(names: readonly FaultName[]): void {
  const before = [...chances.keys()].join();
  chances.clear();
  for (const name of names) chances.set(name, 0);
  if (chances.size > 0) logger.warn("faults are switched on", { faults: [...chances.keys()] });
  else if (before) logger.info("all faults are switched off");
}

/**
 * Whether a fault is to happen here and now. While it is off this is one look into an empty map.
 * Where it does happen, the active span tells.
 */
export function faultStrikes(name: FaultName): boolean {
  const chance = chances.get(name);
  if (chance === undefined) return false;
  chances.set(name, chance + 1);
  if (chance % FAULTS[name].everyNth !== 0) return false;
  trace.getActiveSpan()?.setAttribute(ATTR_FAULT, name);
  return true;
}

/**
 * Adds `GET /faults`, which tells the faults and which are on, and `PUT /faults` `{"on": ["slow-sql"]}`,
 * which switches exactly those on. Whoever can reach the service can then use it: for demos only.
 */
export function addFaultRoutes(app: ReturnType<typeof createBaseApp>): void {
  app
    .get("/faults", () => describeFaults())
    .put(
      "/faults",
      ({ body }) => {
        if (!body.on.every(isFaultName)) throw new BadInputError(`on ${EXPECTED}`);
        switchFaults(body.on);
        return describeFaults();
      },
      { body: faultsSchema },
    );
}

const EXPECTED = `must be a list of faults out of ${Object.keys(FAULTS).join(", ")}`;

const faultsSchema = Type.Object(
  { on: Type.Array(Type.String(), { maxItems: 100, error: `on ${EXPECTED}` }) },
  { additionalProperties: true, error: 'the body must be a JSON object {"on": […]}' },
);

/** The faults that are on, and for each how often it could have struck since it was switched on. */
const chances = new Map<FaultName, number>();

function describeFaults() {
  const known = Object.entries(FAULTS).map(([name, { does }]) => [name, does]);
  return { on: [...chances.keys()], known: Object.fromEntries(known) as Record<string, string> };
}

function isFaultName(name: string): name is FaultName {
  return Object.hasOwn(FAULTS, name);
}
