/** The services, each a process, for the demo and the tests; they do not outlive their starter. */
import { pastProxies } from "./past-proxies.ts";
import { spawnService, type ServiceProcess } from "./service-process.ts";
import { endingOrder, neededBy, SERVICE_NAMES, type ServiceName } from "#lib/service/services.ts";
import { unlessAborted, withTimeout } from "#lib/waiting/waiting.ts";

/** What {@link startServices} is told. */
export interface ServicesOptions {
  /** Where PostgreSQL is. Given a promise, the services that do not need it start meanwhile. */
  readonly postgresUrl: string | Promise<string>;
  /** Kafka's brokers, `host:port` separated by commas. */
  readonly kafkaBrokers: string | Promise<string>;
  /**
   * More variables for every service, OTEL_EXPORTER_OTLP_ENDPOINT first of all. The rest comes from
   * this process's environment, except who a service is and where it exports to.
   */
  readonly env?: Readonly<Record<string, string>>;
  /** More variables for one service; they go over all others. */
  readonly envOf?: Partial<Record<ServiceName, Readonly<Record<string, string>>>>;
  /** Ports on 127.0.0.1. @default 0 for each, a free one */
  readonly ports?: Partial<Record<ServiceName, number>>;
  /** Whose services they are: a folder with the project's code. @default this project */
  readonly checkout?: string;
  /** Told of each line that a service writes, to standard output or standard error. */
  readonly onLine?: (name: ServiceName, line: string) => void;
  /** Told when a service is ready for the first time, with the time since its own start. */
  readonly onReady?: (name: ServiceName, url: string, durationMs: number) => void;
  /** Told when a service that was ready ends, and was not ended through here. */
  readonly onUnexpectedEnd?: (name: ServiceName, how: string) => void;
  /** Gives the start up: everything is stopped, and the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The services, ready. */
export interface RunningServices {
  /** Base URL of each, without a slash at its end; it stays the same over restarts. */
  readonly urls: Readonly<Record<ServiceName, string>>;
  /** @returns its process id; while it is down, the last one it had */
  pid(name: ServiceName): number;
  /**
   * Ends one service, which then stays down until {@link restart}; resolves when it has ended.
   * @param signal SIGTERM lets it finish what is in hand. @default "SIGKILL"
   */
  kill(name: ServiceName, signal?: "SIGKILL" | "SIGTERM"): Promise<void>;
  /**
   * Starts one service again on its port, after SIGTERM where it still runs; resolves when it is
   * ready. One call at a time for a service.
   * @throws ServiceStartError where it does not become ready; it can be restarted again
   */
  restart(name: ServiceName): Promise<void>;
  /** Ends all, callers first: SIGTERM, and SIGKILL where that is not enough. Safe to call again. */
  stop(): Promise<void>;
}

/** A service ended before it was ready, or did not become ready in time. */
export class ServiceStartError extends Error {
  override readonly name = "ServiceStartError";
  constructor(
    readonly service: ServiceName,
    /** What happened: "ended with status 1". */
    readonly reason: string,
    /** The end of what the service wrote. */
    readonly lastLines: readonly string[],
  ) {
    super([`${service} ${reason}`, ...lastLines].join("\n  "));
  }
}

const HOST = "127.0.0.1";
/** For one service, once the addresses it needs are known. The contract promises 20 s. */
const START_TIMEOUT_MS = 30_000;

/**
 * Starts the services, side by side as far as their addresses allow: with ports of 0 the
 * gateway and the worker wait to hear where the others listen.
 * @throws ServiceStartError with the service's last lines, or the reason why an address given as a
 *   promise is not known; nothing is left running
 */
export async function startServices(options: ServicesOptions): Promise<RunningServices> {
  const processes = new Map<ServiceName, ServiceProcess>();
  const environments = new Map<ServiceName, Record<string, string>>();
  const ports = new Map(SERVICE_NAMES.map((name) => [name, Promise.withResolvers<number>()]));
  let stopping: Promise<void> | undefined;

  const urlOf = async (name: ServiceName) => `http://${HOST}:${await ports.get(name)?.promise}`;

  async function startFirst(name: ServiceName): Promise<void> {
    const port = options.ports?.[name] ?? 0;
    if (port !== 0) ports.get(name)?.resolve(port);
    const addresses = await addressesFor(name, options, urlOf);
    environments.set(name, environmentOf(name, options, addresses, port));
    const { startedMs } = await launch(name);
    options.onReady?.(name, await urlOf(name), performance.now() - startedMs);
  }

  /** Spawns a service and waits until it is ready. */
  async function launch(name: ServiceName): Promise<ServiceProcess> {
    if (stopping) throw new Error("the services are being stopped");
    const env = environments.get(name) ?? {};
    const child = spawnService(name, env, (line) => options.onLine?.(name, line), options.checkout);
    processes.set(name, child);
    const becomesReady = async () => {
      const port = await child.listening;
      ports.get(name)?.resolve(port);
      // From now on this one: a restart comes back where the others look for it.
      environments.set(name, { ...env, PORT: String(port) });
      await child.ready;
    };
    try {
      await withTimeout(becomesReady(), START_TIMEOUT_MS, () => {
        return new Error(`is not ready after ${START_TIMEOUT_MS / 1_000} s`);
      });
      void reportUnexpectedEnd(name, child);
      return child;
    } catch (error) {
      throw new ServiceStartError(name, (error as Error).message, child.lastLines());
    }
  }

  async function reportUnexpectedEnd(name: ServiceName, child: ServiceProcess): Promise<void> {
    const how = await child.ended;
    if (!child.isEnding) options.onUnexpectedEnd?.(name, how);
  }

  async function end(names: readonly ServiceName[], signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    await Promise.all(names.map((name) => processes.get(name)?.end(signal)));
  }

  async function stopAll(): Promise<void> {
    for (const group of endingOrder()) await end(group, "SIGTERM");
  }
  const stop = () => (stopping ??= stopAll());

  try {
    await unlessAborted(Promise.all(SERVICE_NAMES.map(startFirst)), options.signal);
  } catch (error) {
    await stop();
    throw error;
  }
  const urls = Object.fromEntries(
    await Promise.all(SERVICE_NAMES.map(async (name) => [name, await urlOf(name)] as const)),
  ) as Record<ServiceName, string>;
  return {
    urls,
    pid: (name) => processes.get(name)?.pid ?? 0,
    kill: (name, signal = "SIGKILL") => end([name], signal),
    async restart(name) {
      await end([name], "SIGTERM");
      await launch(name);
    },
    stop,
  };
}

/** The addresses that a service needs, under its variables' names. */
async function addressesFor(
  name: ServiceName,
  { postgresUrl, kafkaBrokers }: ServicesOptions,
  urlOf: (name: ServiceName) => Promise<string>,
): Promise<Record<string, string>> {
  const needs = neededBy<string | Promise<string>>(name, {
    postgres: () => postgresUrl,
    kafka: () => kafkaBrokers,
    url: urlOf,
  });
  const entries = Object.entries(needs).map(
    async ([variable, value]) => [variable, await value] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

function environmentOf(
  name: ServiceName,
  options: ServicesOptions,
  addresses: Readonly<Record<string, string>>,
  port: number,
): Record<string, string> {
  return {
    ...inherited(),
    HOST,
    PORT: String(port),
    ...addresses,
    ...options.env,
    ...options.envOf?.[name],
  };
}

/** Ours, but what one service is or needs is not the others' business. */
const NOT_INHERITED =
  /^(OTEL_EXPORTER_.*|OTEL_SERVICE_NAME|OTEL_RESOURCE_ATTRIBUTES|POSTGRES_.*|PG[A-Z]+|KAFKA_.*|.*_SERVICE_URL)$/;

function inherited(): Record<string, string> {
  const entries = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined || NOT_INHERITED.test(name) ? [] : [[name, value] as const],
  );
  // Their calls to each other pass any proxy by; their exports would not, and what they export to is
  // on this machine, where a proxy may not lead back to.
  return { ...Object.fromEntries(entries), ...pastProxies(process.env) };
}
