// From a request frame to its response frame: reads the header and finds the API.
import type { Api, BrokerState, ClientConnection, KafkaRequest } from "./api.ts";
import { apiVersionsApi, API_VERSIONS_KEY, unsupportedVersion } from "./apis/api-versions.ts";
import { describeGroupsApi, listGroupsApi } from "./apis/describe-groups.ts";
import { fetchApi } from "./apis/fetch.ts";
import { findCoordinatorApi } from "./apis/find-coordinator.ts";
import {
  heartbeatApi,
  joinGroupApi,
  leaveGroupApi,
  syncGroupApi,
} from "./apis/group-membership.ts";
import { offsetCommitApi, offsetFetchApi } from "./apis/group-offsets.ts";
import { initProducerIdApi } from "./apis/init-producer-id.ts";
import { listOffsetsApi } from "./apis/list-offsets.ts";
import { metadataApi } from "./apis/metadata.ts";
import { produceApi } from "./apis/produce.ts";
import { createTopicsApi, deleteTopicsApi } from "./apis/topics.ts";
import { MalformedRequestError } from "./errors.ts";
import { Reader } from "./reader.ts";

/** Everything this broker answers; ApiVersions tells clients exactly this. */
export const apis: readonly Api[] = [
  produceApi,
  fetchApi,
  listOffsetsApi,
  metadataApi,
  offsetCommitApi,
  offsetFetchApi,
  findCoordinatorApi,
  joinGroupApi,
  heartbeatApi,
  leaveGroupApi,
  syncGroupApi,
  describeGroupsApi,
  listGroupsApi,
  apiVersionsApi(() => apis),
  createTopicsApi,
  deleteTopicsApi,
  initProducerIdApi,
];

const apisByKey = new Map(apis.map((api) => [api.key, api]));

/**
 * Answers one request.
 * @param frame the request without its length
 * @returns the response frame, or null where the client wants none
 * @throws MalformedRequestError where the frame is no request this broker knows; close the connection
 */
export async function handleRequest(
  frame: Buffer,
  connection: ClientConnection,
  state: BrokerState,
): Promise<Buffer | null> {
  const body = new Reader(frame);
  const key = body.int16();
  const version = body.int16();
  const correlationId = body.int32();
  const api = apisByKey.get(key);
  if (!api) throw new MalformedRequestError(`unknown API key ${key}`);
  if (version < api.versionMin || version > api.versionMax) {
    // Clients open with the newest ApiVersions they know, and take the range from this answer.
    if (key === API_VERSIONS_KEY) return unsupportedVersion(correlationId, apis).toFrame();
    throw new MalformedRequestError(`API ${key} has no version ${version} here`);
  }
  const clientId = body.nullableString() ?? "";
  if (api.flexibleFrom !== undefined && version >= api.flexibleFrom) body.skipTaggedFields();
  const request: KafkaRequest = { version, correlationId, clientId, connection, body };
  return (await api.handle(request, state))?.toFrame() ?? null;
}
