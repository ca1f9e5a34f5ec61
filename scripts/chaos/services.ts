/** The services of a chaos run: each a process that can be killed and started again on its port. */
import { freePort } from "#lib/embedded/free-port.ts";
import { endingOrder, neededBy, SERVICE_NAMES, type ServiceName } from "#lib/service/services.ts";
import { until } from "../shared/until.ts";
import { createChild, type Child, type ChildOptions } from "./child.ts";

/** How a service took its SIGTERM. */
export interface ServiceEnd {
  readonly name: string;
  readonly exitCode: number | null;
  readonly durationMs: number;
}

export interface ServicesOptions extends Pick<ChildOptions, "folder" | "onUnexpectedEnd"> {
  readonly postgresUrl: string;
  readonly brokers: string;
  /** Where they send their spans. */
  readonly otlpUrl: string;
}

const READY_WITHIN_MS = 60_000;
const PROBE_TIMEOUT_MS = 3_000;
const ADDED_WORKERS = ["worker-2", "worker-3"];

/** The five, and two workers more that come and go. */
export class ChaosServices {
  readonly #ports: ReadonlyMap<string, number>;
  readonly #children: ReadonlyMap<string, Child>;
  /** Those that are to be ready. */
  readonly #wanted = new Set<string>(SERVICE_NAMES);

  constructor({ postgresUrl, brokers, otlpUrl, ...options }: ServicesOptions) {
    const names = [...SERVICE_NAMES, ...ADDED_WORKERS];
    this.#ports = new Map(names.map((name) => [name, freePort()]));
    const addresses = {
      postgres: () => postgresUrl,
      kafka: () => brokers,
      url: (name: ServiceName) => this.urlOf(name),
    };
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: otlpUrl,
      OTEL_METRICS_EXPORTER: "none",
      // The less waits to be exported, the less a kill takes along.
      OTEL_BSP_SCHEDULE_DELAY: "100",
      // Slow mail keeps some orders in the worker's hands at any moment, so that each kill hits some.
      EMAIL_DELAY_MS: "100-2000",
    };
    const childOf = (name: string) => {
      const program = SERVICE_NAMES.find((known) => known === name) ?? "worker";
      return createChild({
        ...options,
        name,
        args: () => ["run", `services/${program}/index.ts`],
        env: { ...env, ...neededBy(program, addresses), PORT: String(this.#ports.get(name)) },
      });
    };
    this.#children = new Map(names.map((name) => [name, childOf(name)]));
  }

  urlOf(name: string): string {
    return `http://127.0.0.1:${this.#ports.get(name)}`;
  }

  /** Which service listens on which port. */
  atPorts(): Map<number, ServiceName> {
    return new Map(SERVICE_NAMES.map((name) => [this.#ports.get(name) ?? 0, name]));
  }

  child(name: string): Child {
    const child = this.#children.get(name);
    if (!child) throw new Error(`there is no service ${name}`);
    return child;
  }

  /** @returns those that are not ready, each with the reason */
  async notReady(): Promise<string[]> {
    const all = await Promise.all(
      [...this.#wanted].map((name) => whyNotReady(name, this.urlOf(name))),
    );
    return all.filter((reason) => reason !== undefined);
  }

  /** @throws Error that names those that do not become ready */
  async allReady(): Promise<void> {
    let waitingFor: string[] = [];
    await until(
      "all services are ready",
      async () => (waitingFor = await this.notReady()).length === 0,
      READY_WITHIN_MS,
    ).catch((cause: unknown) => {
      throw new Error(`not ready: ${waitingFor.join("; ")}`, { cause });
    });
  }

  /** Starts two more workers; resolves when they are ready. @param start starts one of them */
  async addWorkers(start: (child: Child) => Promise<void>): Promise<void> {
    for (const name of ADDED_WORKERS) {
      await start(this.child(name));
      this.#wanted.add(name);
    }
    await this.allReady();
  }

  /** Ends the added workers with SIGTERM. */
  async removeWorkers(): Promise<ServiceEnd[]> {
    for (const name of ADDED_WORKERS) this.#wanted.delete(name);
    return await this.#end(ADDED_WORKERS);
  }

  /** Ends the five with SIGTERM, callers first. */
  async end(): Promise<ServiceEnd[]> {
    const ends: ServiceEnd[] = [];
    for (const group of endingOrder()) ends.push(...(await this.#end(group)));
    return ends;
  }

  /** Kills what still runs. */
  async kill(): Promise<void> {
    await Promise.all([...this.#children.values()].map((child) => child.kill()));
  }

  async #end(names: readonly string[]): Promise<ServiceEnd[]> {
    return await Promise.all(
      names.map(async (name) => ({ name, ...(await this.child(name).terminate()) })),
    );
  }
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
