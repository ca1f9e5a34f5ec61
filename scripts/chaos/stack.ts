/** Everything a chaos run needs, each part a process that can be killed and started again on its port. */
import { join } from "node:path";
import { freePort } from "#lib/embedded/free-port.ts";
import { migrateUp } from "#lib/migrate/index.ts";
import { SERVICE_NAMES, type ServiceName } from "#lib/service/services.ts";
import { unlessAborted } from "#lib/waiting/waiting.ts";
import { isListening } from "../shared/is-listening.ts";
import { until } from "../shared/until.ts";
import { createChild, type Child } from "./child.ts";
import { startChaosCluster } from "./kafka-cluster.ts";
import { startChaosKafka, type ChaosKafka, type KafkaVictim } from "./kafka.ts";
import { startKillablePostgres, type KillablePostgres } from "./postgres.ts";
import type { Random } from "./random.ts";
import { ChaosServices, type ServiceEnd } from "./services.ts";
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

const LISTENING_WITHIN_MS = 15_000;

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
  const run: Run = {
    folder,
    unexpectedEnds: [],
    changes: new Changes(),
    undo: new AsyncDisposableStack(),
  };
  try {
    return await unlessAborted(startAll(run, kafkaChoice), signal);
  } catch (error) {
    await stop(run);
    throw error;
  }
}

/** What all parts of a run share. */
interface Run {
  readonly folder: string;
  readonly unexpectedEnds: string[];
  readonly changes: Changes;
  readonly undo: AsyncDisposableStack;
  /** Cuts off what is still being done to a cluster of nodes: it then fails. */
  cutOff?: () => Promise<void>;
}

/** Starts and kills that are under way. */
class Changes {
  readonly #underWay = new Set<Promise<unknown>>();
  #isStopping = false;

  /** @throws Error where all is being stopped: nothing is started or killed then */
  async make<T>(change: () => Promise<T>): Promise<T> {
    if (this.#isStopping) throw new Error("the stack is being stopped");
    const changing = change();
    this.#underWay.add(changing);
    return await changing.finally(() => this.#underWay.delete(changing));
  }

  /** No more of them; waits for those that are under way. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.allSettled(this.#underWay);
  }
}

async function stop({ changes, cutOff, undo }: Run): Promise<void> {
  const stopped = changes.stop();
  // A rolling restart is not waited for.
  void cutOff?.();
  await stopped;
  await undo.disposeAsync();
}

async function startAll(run: Run, kafkaChoice: KafkaChoice): Promise<ChaosStack> {
  const { changes, undo } = run;
  const [postgres, kafka] = await changes.make(() => startBoth(run, kafkaChoice));
  if (kafkaChoice.clusterRandom) run.cutOff = kafka.stop;
  await migrateUp({ postgresUrl: postgres.url });
  const receiver = createReceiver(run);
  undo.defer(() => receiver.child.kill());
  await changes.make(receiver.start);

  const services = new ChaosServices({
    folder: run.folder,
    onUnexpectedEnd: (what) => void run.unexpectedEnds.push(what),
    postgresUrl: postgres.url,
    brokers: kafka.brokers,
    otlpUrl: receiver.url,
  });
  undo.defer(() => services.kill());
  const start = (child: Child) => changes.make(async () => child.start());
  for (const name of SERVICE_NAMES) await start(services.child(name));
  await services.allReady();
  return {
    gatewayUrl: services.urlOf("gateway"),
    postgresUrl: postgres.url,
    brokers: kafka.brokers,
    kafkaKind: kafka.kind,
    victims: victimsOf(changes, { postgres, kafka, receiver, services }),
    serviceAtPort: services.atPorts(),
    get mailLogs() {
      return services.child("email").logFiles;
    },
    get spanFiles() {
      return receiver.spanFiles();
    },
    unexpectedEnds: run.unexpectedEnds,
    notReady: () => services.notReady(),
    addWorkers: () => services.addWorkers(start),
    removeWorkers: () => services.removeWorkers(),
    stopServices: () => services.end(),
    stop: () => stop(run),
  };
}

/** Side by side; what has started is undone where the other fails. */
async function startBoth(
  { folder, unexpectedEnds, undo }: Run,
  { libsDir, clusterRandom }: KafkaChoice,
) {
  const onUnexpectedEnd = (what: string) => void unexpectedEnds.push(what);
  const starting = [
    startKillablePostgres(),
    clusterRandom
      ? startChaosCluster(libsDir ?? "", clusterRandom, onUnexpectedEnd)
      : startChaosKafka(libsDir, folder, onUnexpectedEnd),
  ] as const;
  for (const result of await Promise.allSettled(starting)) {
    if (result.status === "fulfilled") undo.defer(result.value.stop);
  }
  return await Promise.all(starting);
}

/** The trace receiver as a victim; see programs/trace-receiver.ts. */
function createReceiver({ folder, unexpectedEnds }: Run) {
  const port = freePort();
  const spanFileOf = (life: number) => join(folder, `spans-${life}.jsonl`);
  const child = createChild({
    name: "traces",
    args: (life) => ["scripts/chaos/programs/trace-receiver.ts", String(port), spanFileOf(life)],
    env: {},
    folder,
    onUnexpectedEnd: (what) => void unexpectedEnds.push(what),
  });
  return {
    child,
    url: `http://127.0.0.1:${port}`,
    spanFiles: () => child.logFiles.map((_, index) => spanFileOf(index + 1)),
    async start() {
      child.start();
      await until("the trace receiver listens", () => isListening(port), LISTENING_WITHIN_MS);
    },
  };
}

function victimsOf(
  changes: Changes,
  parts: {
    readonly postgres: KillablePostgres;
    readonly kafka: ChaosKafka;
    readonly receiver: ReturnType<typeof createReceiver>;
    readonly services: ChaosServices;
  },
): Map<VictimName, Victim> {
  const { postgres, kafka, receiver, services } = parts;
  const killed = { means: "kill -9", downMs: DOWN_MS } as const;
  const all: KafkaVictim[] = [
    ...SERVICE_NAMES.map((name) => {
      const { kill, start } = services.child(name);
      return { ...killed, name, kill, restart: async () => start() };
    }),
    ...kafka.victims,
    { ...killed, name: "postgres", kill: postgres.kill, restart: postgres.restart },
    { ...killed, name: "traces", kill: receiver.child.kill, restart: receiver.start },
  ];
  return new Map(
    all.map(({ kill, restart, ...victim }) => [
      victim.name,
      {
        ...victim,
        kill: () => changes.make(kill),
        restart: () => changes.make(restart).then(Date.now),
      },
    ]),
  );
}
