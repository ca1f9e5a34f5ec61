// The Kafka client every service uses: kafkajs with bounds, our log, all codecs, and one fault mended.
import { createRequire } from "node:module";
import { Kafka, logLevel, type Admin, type LogEntry } from "kafkajs";
import { logger } from "#lib/telemetry/logs/logger.ts";
import { createBrokerSockets, type BrokerSockets } from "./broker-sockets.ts";
import { registerCodecs } from "./codecs.ts";
import type { KafkaConnection } from "./config.ts";
import { saslOptions } from "./sasl.ts";

export type { Kafka } from "kafkajs";

/**
 * Makes a client. It connects when a producer, consumer or admin made from it does.
 *
 * Give each consumer of one group a client of its own: kafkajs keeps a group's committed offsets per
 * client, so two members that share one overwrite each other's.
 *
 * @param options.connection where Kafka is, with TLS and SASL as it wants them
 * @param options.clientId this service's name in the broker's log
 * @see https://kafka.js.org/docs/configuration
 */
export function createKafka(options: { connection: KafkaConnection; clientId: string }): Kafka {
  const { brokers, ssl, sasl } = options.connection;
  stopIdleThrottleChecks();
  registerCodecs();
  const sockets = createBrokerSockets(ssl);
  const kafka = new Kafka({
    brokers: [...brokers],
    ...(ssl && { ssl }),
    ...(sasl && { sasl: saslOptions(sasl) }),
    clientId: options.clientId,
    connectionTimeout: 3_000,
    requestTimeout: REQUEST_TIMEOUT_MS,
    socketFactory: sockets.factory,
    // Short, because whoever calls kafkajs here retries for longer, and knows when to give up; and these
    // are nested: each try of a send may ask anew who leads, and each question try to connect.
    retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 3 },
    logLevel: logLevel.INFO,
    logCreator: () => log,
  });
  unreachable.set(kafka, sockets.unreachable);
  return kafka;
}

/**
 * Work of an administrator's client, which is connected for it and disconnected after it, however it ends.
 * @throws KafkaJSError when no broker answers; what the work throws
 */
export async function withAdmin<T>(kafka: Kafka, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

/**
 * More than the longest answer takes: a write waits for replicas that the cluster has not given up yet
 * (PRODUCE_TIMEOUT_MS), a join for the other members. A broker that is silent is noticed sooner.
 */
const REQUEST_TIMEOUT_MS = 12_000;
/** How long a broker may wait for its replicas before it answers that they did not follow. */
export const PRODUCE_TIMEOUT_MS = 10_000;
/** How old knowledge of the cluster may be: who leads, and how many partitions there are. */
export const METADATA_MAX_AGE_MS = 10_000;

const unreachable = new WeakMap<Kafka, BrokerSockets["unreachable"]>();

/**
 * The brokers that a client cannot reach at present, each with what is wrong.
 * @param kafka made by {@link createKafka}; for any other client none are known
 */
export function unreachableBrokers(kafka: Kafka): BrokerSockets["unreachable"] {
  return unreachable.get(kafka) ?? new Map<string, string>();
}

/**
 * Writes kafkajs's log lines to ours, at a lower level: it calls an error what it is about to retry.
 * What it does not retry reaches the caller, who logs it. Its lines on single connections and responses
 * repeat what its other lines say, several times a second while a broker is away.
 */
function log({ namespace, level, log: { message, ...details } }: LogEntry): void {
  const fields: Record<string, unknown> = { "kafkajs.namespace": namespace };
  for (const key of ["broker", "groupId", "topic", "partition", "retryCount", "retryTime"]) {
    if (details[key] !== undefined) fields[`kafkajs.${key}`] = details[key];
  }
  if (details["error"] !== undefined) fields["error"] = String(details["error"]);

  const text = `kafkajs: ${message}`;
  if (namespace === "Connection" || namespace === "BrokerPool") logger.debug(text, fields);
  // Joining a changed group again is how Kafka works, not a fault.
  else if (/group is rebalancing/i.test(message)) logger.debug(text, fields);
  else if (level === logLevel.ERROR) logger.warn(text, fields);
  else if (level === logLevel.WARN) logger.info(text, fields);
  else logger.debug(text, fields);
}

/** The part of kafkajs's request queue that is mended. */
interface RequestQueue {
  readonly pending: readonly unknown[];
  scheduleCheckPendingRequests(): void;
}

/**
 * Mends kafkajs 2.2.4's request queue. After each response it sets a timer for
 * `throttledUntil - now`, also when nothing is throttled or queued: `-1 - Date.now()`. The runtime
 * turns that into 1 ms and prints a TimeoutNegativeWarning, and the timer sets itself again, so every
 * open connection wakes the process a thousand times a second. With an empty queue there is nothing
 * to check, and a request that has to queue later sets the timer itself.
 *
 * @see https://github.com/tulios/kafkajs/blob/v2.2.4/src/network/requestQueue/index.js
 */
function stopIdleThrottleChecks(): void {
  if (isMended) return;
  isMended = true;
  const { prototype }: { prototype: RequestQueue } = require("kafkajs/src/network/requestQueue");
  const schedule = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this);
  };
}

const require = createRequire(import.meta.url);
let isMended = false;
