/** The demo's ports: where they come from, and whether they are free. */
import { OTLP_PORT, QUERY_PORT } from "#lib/embedded/traces/ports.ts";
import { integer, oneOf, type Env } from "#lib/service/config.ts";
import { factsOf, SERVICE_NAMES, type ServiceName } from "#lib/service/services.ts";

/** A part of the demo that listens. */
export type PortName = keyof typeof PORTS;
export type Ports = Readonly<Record<PortName, number>>;

/** A port cannot be had. The message has one line for each, with the variable that moves it. */
export class PortsError extends Error {
  override readonly name = "PortsError";
}

const HOST = "127.0.0.1";

interface Port {
  /** The variable that moves it. */
  readonly variable: string;
  readonly usual: number;
  readonly what: string;
}

/** The contract's ports; PostgreSQL and Kafka stand aside from where others of their kind listen. */
const PORTS = {
  ...(Object.fromEntries(
    SERVICE_NAMES.map((name) => {
      const { port: usual, what } = factsOf(name);
      return [name, { variable: `${name.toUpperCase()}_PORT`, usual, what }];
    }),
  ) as Readonly<Record<ServiceName, Port>>),
  otlp: { variable: "OTLP_PORT", usual: OTLP_PORT, what: "receiving spans (OTLP)" },
  jaeger: { variable: "JAEGER_PORT", usual: QUERY_PORT, what: "the trace pages" },
  postgres: { variable: "POSTGRES_PORT", usual: 15432, what: "PostgreSQL" },
  kafka: { variable: "KAFKA_PORT", usual: 19092, what: "the Kafka broker" },
} satisfies Readonly<Record<string, Port>>;

const NAMES = Object.keys(PORTS) as PortName[];

/** Where each listens that nothing moves. */
export const USUAL_PORTS = Object.fromEntries(
  NAMES.map((name) => [name, PORTS[name].usual]),
) as Ports;

/** The variables that move a port, each with its default. */
export const PORT_VARIABLES = Object.values(PORTS).map(
  ({ variable, usual }) => `${variable}=${usual}`,
);

/**
 * Reads the ports; 0 stands for any free one. PORTS=free makes that the default of all.
 * @throws ConfigError that names the variable
 */
export function readPorts(env: Env): Ports {
  const isFree = oneOf(env, "PORTS", ["usual", "free"], "usual") === "free";
  const entries = NAMES.map((name) => {
    const { variable, usual } = PORTS[name];
    return [name, integer(env, variable, isFree ? 0 : usual, { min: 0, max: 65_535 })] as const;
  });
  return Object.fromEntries(entries) as Record<PortName, number>;
}

/**
 * Looks whether all ports can be had, before anything is started.
 * @throws PortsError that tells of each that cannot
 */
export async function checkPorts(ports: Ports): Promise<void> {
  // All are held until the last is looked at, so that one port given to two parts is found as well.
  const holders = new Map<number, { name: PortName; release: () => void }>();
  const complaints: string[] = [];
  try {
    for (const name of NAMES.filter((name) => ports[name] !== 0)) {
      const port = ports[name];
      const { variable, what } = PORTS[name];
      const other = holders.get(port);
      const reason = other
        ? `is already meant for ${PORTS[other.name].what}`
        : hold(port, (release) => holders.set(port, { name, release }));
      if (reason) {
        complaints.push(
          `port ${port}, for ${what}, ${reason}; ${variable} moves it (0: any free port)`,
        );
      }
    }
  } finally {
    for (const { release } of holders.values()) release();
  }
  if (complaints.length === 0) return;
  const all = "PORTS=free, without variables of their own, moves all of them";
  throw new PortsError([...complaints, all].join("\n"));
}

/** @returns why the port cannot be listened on, undefined where it can */
function hold(port: number, onHeld: (release: () => void) => void): string | undefined {
  try {
    const listener = Bun.listen({ hostname: HOST, port, socket: { data() {} } });
    onHeld(() => listener.stop(true));
    return undefined;
  } catch (error) {
    const { code } = error as { code?: unknown };
    return code === "EADDRINUSE" ? "is in use" : `cannot be listened on (${String(code)})`;
  }
}
