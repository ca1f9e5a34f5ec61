/** The two services that need PostgreSQL, as processes of their own, for tests that disturb its connections. */
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { call, line, newOrder, type Answer } from "./api.ts";
import { startServiceProcess, type ServiceProcess } from "./service-process.ts";

export interface DatabaseServices {
  readonly orders: ServiceProcess;
  readonly inventory: ServiceProcess;
  /** @returns the answer, or undefined where the connection to the service broke or took too long */
  placeOrder(customerId?: string): Promise<Answer | undefined>;
  reserve(itemId: string, quantity?: number): Promise<Answer | undefined>;
  stop(): Promise<void>;
}

/** A hanging request is no answer; Bun itself closes it after about 10 s. */
const ANSWER_TIMEOUT_MS = 12_000;

/**
 * Starts orders and inventory, and an embedded broker for orders.
 * @param env POSTGRES_URL or POSTGRES_URL_FILE, and what else both are told
 * @param ready whether to wait until both are ready
 */
export async function startDatabaseServices(
  env: Record<string, string>,
  ready = true,
): Promise<DatabaseServices> {
  const broker = await startKafkaBroker();
  const processes: ServiceProcess[] = [];
  const stop = async () => {
    await Promise.all(processes.map((service) => service.stop()));
    await broker.stop();
  };
  const start = async (name: "orders" | "inventory") => {
    const service = await startServiceProcess(name, {
      OTEL_TRACES_EXPORTER: "none",
      OTEL_METRICS_EXPORTER: "none",
      KAFKA_BROKERS: broker.brokers,
      ...env,
    });
    processes.push(service);
    return service;
  };
  try {
    const [orders, inventory] = await Promise.all([start("orders"), start("inventory")]);
    if (ready) await Promise.all([orders.ready(), inventory.ready()]);
    return {
      orders,
      inventory,
      placeOrder: (customerId) =>
        answered(call("POST", `${orders.url}/orders`, newOrder([line("ITEM-007")], customerId))),
      reserve: (itemId, quantity = 1) =>
        answered(call("POST", `${inventory.url}/stock/${itemId}/reserve`, { quantity })),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function answered(answer: Promise<Answer>): Promise<Answer | undefined> {
  const late = Bun.sleep(ANSWER_TIMEOUT_MS).then(() => undefined);
  return await Promise.race([answer.catch(() => undefined), late]);
}
