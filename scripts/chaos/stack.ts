/** Everything a chaos run needs, each part a process that can be killed and started again on its port. */
import { join } from "node:path";
import { endingOrder, neededBy, SERVICE_NAMES, type ServiceName } from "#lib/service/services.ts";
import { unlessAborted } from "#lib/waiting/waiting.ts";
import { migrateUp } from "#lib/migrate/index.ts";
import { createChild, type Child } from "./child.ts";
import { startChaosCluster } from "./kafka-cluster.ts";
import { startChaosKafka, type ChaosKafka, type KafkaVictim } from "./kafka.ts";
import { freePort } from "#lib/embedded/free-port.ts";
import { isListening } from "../shared/is-listening.ts";
import { startKillablePostgres } from "./postgres.ts";
import type { Random } from "./random.ts";
import { until } from "../shared/until.ts";
import { DOWN_MS, type Victim, type VictimName } from "./victims.ts";

/** Which Kafka a run has. */
export interface KafkaChoice {
  /** Apache Kafka's jars; without them the embedded broker runs. */
  readonly libsDir: string | undefined;
  /** Draws the nodes of a cluster of three that are to suffer; without it there is one broker. */
  readonly clusterRandom: Random | undefined;
}

export interface ChaosStack {
  readonly gatewayUrl: string;
  readonly postgresUrl: string;
  readonly brokers: string;
  readonly kafkaKind: string;
  readonly victims: ReadonlyMap<VictimName, Victim>;
  /** Which service listens on which port. */
  readonly serviceAtPort: ReadonlyMap<number, ServiceName>;
  /** The mail service's log, one file a life. */
  readonly mailLogs: readonly string[];
  /** What the trace receiver was sent, one file a life. */
  readonly spanFiles: readonly string[];
  /** Processes that ended though nobody had ended them. */
  readonly unexpectedEnds: readonly string[];
  /** @returns the services that are not ready, each with the reason */
  notReady(): Promise<string[]>;
  /** Starts two more workers; resolves when they are ready. */
  addWorkers(): Promise<void>;
  /** Ends the added workers with SIGTERM. */
  removeWorkers(): Promise<ServiceEnd[]>;
  /** Ends all services with SIGTERM, callers first. */
  stopServices(): Promise<ServiceEnd[]>;
  /** Stops everything that still runs and removes the data; the logs stay. */
  stop(): Promise<void>;
}

/** How a service took its SIGTERM. */
export interface ServiceEnd {
  readonly name: string;
  readonly exitCode: number | null;
  readonly durationMs: number;
}

const READY_WITHIN_MS = 60_000;
const LISTENING_WITHIN_MS = 15_000;
const PROBE_TIMEOUT_MS = 3_000;

/**
 * Starts everything and waits until all services are ready.
 * @param folder for logs and spans
 * @param signal gives the start up
 * @throws why it could not be started, or the signal's reason; nothing is left running
 */
export async function startStack(
  folder: string,
  kafkaChoice: KafkaChoice,
  signal: AbortSignal,
): Promise<ChaosStack> {
  const unexpectedEnds: string[] = [];
  const onUnexpectedEnd = (what: string) => void unexpectedEnds.push(what);
  const undo: (() => Promise<unknown>)[] = [];
  const underWay = new Set<Promise<unknown>>();
  let isStopping = false;

  /** Nothing is started or killed once all is being stopped, and what is under way is waited for. */
  async function unlessStopping<T>(change: () => Promise<T>): Promise<T> {
    if (isStopping) throw new Error("the stack is being stopped");
    const changing = change();
    underWay.add(changing);
    try {
      return await changing;
    } finally {
      underWay.delete(changing);
    }
  }
  let kafkaToStop: ChaosKafka | undefined;
  const stop = async () => {
    isStopping = true;
    // A rolling restart is not waited for; what it still does then fails.
    void kafkaToStop?.stop();
    await Promise.allSettled(underWay);
    for (const run of undo.splice(0).toReversed()) await run();
  };
  try {
    return await unlessAborted(startAll(), signal);
  } catch (error) {
    await stop();
    throw error;
  }

  async function startAll(): Promise<ChaosStack> {
    const [postgres, kafka] = await unlessStopping(() =>
      startBoth(folder, kafkaChoice, onUnexpectedEnd, undo),
    );
    if (kafkaChoice.clusterRandom) kafkaToStop = kafka;
    await migrateUp({ postgresUrl: postgres.url });

    const tracesPort = freePort();
    const spanFileOf = (life: number) => join(folder, `spans-${life}.jsonl`);
    const traces = createChild({
      name: "traces",
      args: (life) => [
        "scripts/chaos/programs/trace-receiver.ts",
        String(tracesPort),
        spanFileOf(life),
      ],
      env: {},
      folder,
      onUnexpectedEnd,
    });
    const startTraces = async () => {
      traces.start();
      await until("the trace receiver listens", () => isListening(tracesPort), LISTENING_WITHIN_MS);
    };
    undo.push(() => traces.kill());
    await unlessStopping(startTraces);

    const names = [...SERVICE_NAMES, "worker-2", "worker-3"];
    const ports = new Map(names.map((name) => [name, freePort()]));
    const urlOf = (name: string) => `http://127.0.0.1:${ports.get(name)}`;
    const addresses = {
      postgres: () => postgres.url,
      kafka: () => kafka.brokers,
      url: urlOf,
    };
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${tracesPort}`,
      OTEL_METRICS_EXPORTER: "none",
      // The less waits to be exported, the less a kill takes along.
      OTEL_BSP_SCHEDULE_DELAY: "100",
      // Slow mail keeps some orders in the worker's hands at any moment, so that each kill hits some.
      EMAIL_DELAY_MS: "100-2000",
    };
    const service = (name: string, program: ServiceName): Child => {
      const child = createChild({
        name,
        args: () => ["run", `services/${program}/index.ts`],
        env: { ...env, ...neededBy(program, addresses), PORT: String(ports.get(name)) },
        folder,
        onUnexpectedEnd,
      });
      undo.push(() => child.kill());
      return child;
    };
    const services = new Map<ServiceName, Child>();
    for (const name of SERVICE_NAMES) services.set(name, service(name, name));
    const addedWorkers = [service("worker-2", "worker"), service("worker-3", "worker")];
    const running = new Set<string>(SERVICE_NAMES);

    const notReady = async () => {
      const all = await Promise.all([...running].map((name) => whyNotReady(name, urlOf(name))));
      return all.filter((reason) => reason !== undefined);
    };
    const allReady = async () => {
      let waitingFor: string[] = [];
      await until(
        "all services are ready",
        async () => (waitingFor = await notReady()).length === 0,
        READY_WITHIN_MS,
      ).catch((cause: unknown) => {
        throw new Error(`not ready: ${waitingFor.join("; ")}`, { cause });
      });
    };
    const start = (child: Child) => unlessStopping(async () => child.start());
    for (const child of services.values()) await start(child);
    await allReady();

    const victims = new Map<VictimName, Victim>();
    const addVictim = ({ kill, restart, ...victim }: KafkaVictim) =>
      victims.set(victim.name, {
        ...victim,
        kill: () => unlessStopping(kill),
        restart: () => unlessStopping(restart).then(Date.now),
      });
    const killed = { means: "kill -9", downMs: DOWN_MS } as const;
    for (const [name, { kill, start: run }] of services) {
      addVictim({ ...killed, name, kill, restart: async () => run() });
    }
    kafka.victims.forEach(addVictim);
    addVictim({ ...killed, name: "postgres", ...postgres });
    addVictim({ ...killed, name: "traces", kill: traces.kill, restart: startTraces });

    return {
      gatewayUrl: urlOf("gateway"),
      postgresUrl: postgres.url,
      brokers: kafka.brokers,
      kafkaKind: kafka.kind,
      victims,
      serviceAtPort: new Map(SERVICE_NAMES.map((name) => [ports.get(name) ?? 0, name])),
      get mailLogs() {
        return services.get("email")?.logFiles ?? [];
      },
      get spanFiles() {
        return traces.logFiles.map((_, index) => spanFileOf(index + 1));
      },
      unexpectedEnds,
      notReady,
      async addWorkers() {
        for (const worker of addedWorkers) {
          await start(worker);
          running.add(worker.name);
        }
        await allReady();
      },
      async removeWorkers() {
        for (const { name } of addedWorkers) running.delete(name);
        return await Promise.all(addedWorkers.map(endOf));
      },
      async stopServices() {
        const ends: ServiceEnd[] = [];
        for (const group of endingOrder()) {
          const children = group.flatMap((name) => services.get(name) ?? []);
          ends.push(...(await Promise.all(children.map(endOf))));
        }
        return ends;
      },
      stop,
    };
  }
}

/** Side by side; what has started is undone where the other fails. */
async function startBoth(
  folder: string,
  { libsDir, clusterRandom }: KafkaChoice,
  onUnexpectedEnd: (what: string) => void,
  undo: (() => Promise<unknown>)[],
) {
  const starting = [
    startKillablePostgres(),
    clusterRandom
      ? startChaosCluster(libsDir ?? "", clusterRandom, onUnexpectedEnd)
      : startChaosKafka(libsDir, folder, onUnexpectedEnd),
  ] as const;
  for (const result of await Promise.allSettled(starting)) {
    if (result.status === "fulfilled") undo.push(result.value.stop);
  }
  return await Promise.all(starting);
}

async function whyNotReady(name: string, url: string): Promise<string | undefined> {
  try {
    const response = await fetch(`${url}/readyz`, {
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
    const body = await response.text();
    return response.status === 200 ? undefined : `${name} ${body}`;
  } catch (error) {
    return `${name} ${String(error)}`;
  }
}

async function endOf(child: Child): Promise<ServiceEnd> {
  return { name: child.name, ...(await child.terminate()) };
}
