/** Calls from one service to another: JSON, a time limit, and errors that know their consequence. */
import type { Attributes } from "@opentelemetry/api";
import {
  tracedFetch,
  type TracedRequest,
  type TracedResponse,
} from "#lib/telemetry/http-client.ts";
import { remainingMs, TIMEOUT_HEADER } from "./deadline.ts";
import { BadGatewayError, GatewayTimeoutError } from "./errors.ts";

/** How long one call may take, the contract's bound for a service behind the gateway. */
export const CALL_TIMEOUT_MS = 5_000;

export interface CallOptions {
  body?: unknown;
  headers?: Record<string, string>;
  /** How often this call was tried before. */
  resendCount?: number;
  timeoutMs?: number;
  /** The caller's line, where the call is made on behalf of it after an `await`. */
  location?: Attributes | undefined;
}

export interface ServiceClient {
  readonly name: string;
  /**
   * Makes one call.
   * @param path with its leading slash, already encoded
   * @returns the answer, whatever its status
   * @throws BadGatewayError where the service cannot be reached or breaks off
   * @throws GatewayTimeoutError where it does not answer in time
   */
  call(
    method: TracedRequest["method"],
    path: string,
    options?: CallOptions,
  ): Promise<TracedResponse>;
}

/** @param name of the service called, for error texts; @param baseUrl without a slash at its end */
export function createServiceClient(name: string, baseUrl: string): ServiceClient {
  return {
    name,
    async call(method, path, options = {}) {
      const timeoutMs = remainingMs(options.timeoutMs ?? CALL_TIMEOUT_MS);
      const headers = { ...options.headers, [TIMEOUT_HEADER]: String(timeoutMs) };
      const request: TracedRequest = {
        method,
        timeoutMs,
        errorOf: errorInBody,
        location: options.location,
        headers,
      };
      if (options.resendCount) request.resendCount = options.resendCount;
      if (options.body !== undefined) {
        request.body = JSON.stringify(options.body);
        request.headers = { ...headers, "content-type": "application/json" };
      }
      try {
        return await tracedFetch(baseUrl + path, request);
      } catch (error) {
        const cause = { cause: error };
        if (error instanceof Error && error.name === "TimeoutError") {
          throw new GatewayTimeoutError(`the ${name} service did not answer in time`, cause);
        }
        throw new BadGatewayError(`the ${name} service cannot be reached`, cause);
      }
    },
  };
}

/**
 * A text as one segment of a path. `.` and `..` cannot be one, however they are encoded: a URL drops
 * them. They become a segment that names nothing.
 */
export function pathSegment(text: string): string {
  return text === "." || text === ".." ? text.replaceAll(".", "%252E") : encodeURIComponent(text);
}

/**
 * Whether a service is up: its `/healthz` answers 200.
 * @throws Error that says what is wrong
 */
export async function probeHealth(name: string, baseUrl: string, timeoutMs = 2_000): Promise<void> {
  const response = await fetch(`${baseUrl}/healthz`, {
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((error: unknown) => {
    throw new Error(`the ${name} service cannot be reached`, { cause: error });
  });
  await response.body?.cancel();
  if (response.status !== 200) throw new Error(`the ${name} service answers ${response.status}`);
}

/** The `error` text of an answer in the house's form. */
export function errorInBody(_status: number, body: string): string | undefined {
  try {
    const parsed = JSON.parse(body) as { error?: unknown };
    return typeof parsed.error === "string" ? parsed.error : undefined;
  } catch {
    return undefined;
  }
}
