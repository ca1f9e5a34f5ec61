// What an API of the protocol is to this broker: a key, a range of versions and a handler.
import type { GroupCoordinator } from "./groups.ts";
import { limits } from "./limits.ts";
import type { Reader } from "./reader.ts";
import type { TopicStore } from "./topics.ts";
import { Writer } from "./writer.ts";

/** The only broker of its cluster. Not 0, which some clients take for "none". */
export const BROKER_ID = 1;

/** What the handlers share. */
export interface BrokerState {
  readonly clusterId: string;
  readonly topics: TopicStore;
  readonly groups: GroupCoordinator;
  /** Numbers idempotent producers. */
  nextProducerId: number;
}

/** Where a request came from. */
export interface ClientConnection {
  readonly clientAddress: string;
  /** The address this client reached the broker by: what it is told to connect to. */
  readonly brokerHost: string;
  readonly brokerPort: number;
  /** Aborts when the connection ends, so that nothing waits on its behalf. */
  readonly closed: AbortSignal;
}

/** One request, its header read and `body` standing behind it. */
export interface KafkaRequest {
  readonly version: number;
  readonly correlationId: number;
  readonly clientId: string;
  readonly connection: ClientConnection;
  readonly body: Reader;
}

/** One API of the protocol. */
export interface Api {
  /** @see https://kafka.apache.org/41/design/protocol/#api-keys */
  readonly key: number;
  readonly versionMin: number;
  readonly versionMax: number;
  /** First version whose request ends in tagged fields; absent where none here has them. */
  readonly flexibleFrom?: number;
  /**
   * Answers a request of a version in the range.
   * @returns the response, or null where the client wants none
   * @throws MalformedRequestError where the body cannot be read
   */
  handle(request: KafkaRequest, state: BrokerState): Writer | null | Promise<Writer | null>;
}

/**
 * Starts the response to a request.
 * @param capacityBytes expected size; it may grow up to a bound, where the request is then given up
 */
export function responseTo(request: KafkaRequest, capacityBytes?: number): Writer {
  return new Writer(capacityBytes, limits.responseBytesMax).int32(request.correlationId);
}
