/**
 * A service that another one cannot do without: a call is tried again while that may help, and the
 * service is known to be up or down.
 */
import { callerLocation } from "#lib/telemetry/optional.ts";
import {
  createServiceClient,
  errorInBody,
  probe,
  type CallMethod,
  type CallOptions,
  type ServiceAnswer,
} from "./client.ts";
import { AppError } from "./errors.ts";

const PROBE_TIMEOUT_MS = 2_000;
/** 408 and 429 pass with time, as 5xx do. */
const PASSING_STATUSES = new Set([408, 429]);

/** Who decides whether and when to try again; the consumer loop's handling context is one. */
export interface Retrying {
  /** Aborts when the caller is to make no further call, with the error to end it with. */
  readonly signal: AbortSignal;
  /** Returns when the failed call is to be tried again; throws `error` when it is not. */
  retry(error: unknown): Promise<void>;
  /** Called when a call succeeds that had failed before. */
  succeeded(): void;
}

/** A call failed in a way that may pass: no answer, a timeout, a 5xx. */
export class DependencyError extends Error {
  override readonly name = "DependencyError";
  readonly retryable = true;
  constructor(
    readonly dependency: Dependency,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A call was answered with what its caller cannot make sense of; another try would get the same. */
export class UnexpectedAnswerError extends Error {
  override readonly name = "UnexpectedAnswerError";
  readonly retryable = false;
}

export interface Dependency {
  /**
   * Makes a call and repeats it while it fails in a way that may pass.
   * @returns an answer whose status is below 500
   * @throws DependencyError when it was tried for long enough
   * @throws the signal's reason, without a call, when it has aborted
   */
  call(
    context: Retrying,
    method: CallMethod,
    path: string,
    options?: CallOptions,
  ): Promise<ServiceAnswer>;
  /** Whether the service cannot be reached or says itself that it is not ready. */
  isDown(): Promise<boolean>;
}

/** @param baseUrl without a slash at its end */
export function createDependency(name: string, baseUrl: string): Dependency {
  const client = createServiceClient(name, baseUrl);
  const dependency: Dependency = {
    async call(context, method, path, options = {}) {
      // Read before the first await: a later try has no line of the caller on its stack any more.
      const location = callerLocation();
      for (let resendCount = 0; ; resendCount++) {
        // Whoever has the work by now must not find its steps undone behind its back.
        context.signal.throwIfAborted();
        try {
          const answer = await client.call(method, path, { ...options, location, resendCount });
          if (answer.status < 500 && !PASSING_STATUSES.has(answer.status)) {
            if (resendCount > 0) context.succeeded();
            return answer;
          }
          throw new DependencyError(dependency, describeAnswer(name, answer));
        } catch (error) {
          await context.retry(
            error instanceof AppError
              ? new DependencyError(dependency, error.message, { cause: error.cause })
              : error,
          );
        }
      }
    },
    async isDown() {
      try {
        const response = await probe(`${baseUrl}/readyz`, PROBE_TIMEOUT_MS);
        const body = await response.text();
        return response.status === 503 && saysNotReady(body);
      } catch {
        return true;
      }
    },
  };
  return dependency;
}

/** Whether a failure is because a service that every order needs is down. */
export async function isDependencyDown(error: unknown): Promise<boolean> {
  return error instanceof DependencyError && error.dependency.isDown();
}

/** What an answer says, for an error's text. */
export function describeAnswer(name: string, answer: ServiceAnswer): string {
  const text = errorInBody(answer.body);
  return `the ${name} service answers ${answer.status}${text ? `: ${text}` : ""}`;
}

/** Any proxy can answer 503; only our services say it like this. */
function saysNotReady(body: string): boolean {
  try {
    return (JSON.parse(body) as { status?: unknown }).status === "not ready";
  } catch {
    return false;
  }
}
