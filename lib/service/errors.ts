/**
 * Errors that know their consequence: the HTTP status, whether another try may help, and
 * `error.type` follow from the class, so that nobody matches on messages.
 */

/** The root of all errors that a caller may see. Its message is written for a person. */
export abstract class AppError extends Error {
  /** HTTP status of the answer. */
  abstract readonly status: number;
  /** Whether the same call may succeed later. */
  abstract readonly retryable: boolean;
  /** Headers to send with the answer, for example `Allow`. */
  readonly headers: Readonly<Record<string, string>> = {};

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The input breaks a rule; the message says which field and which rule. */
export class BadInputError extends AppError {
  readonly status = 400;
  readonly retryable = false;
}

/** There is no such thing. */
export class NotFoundError extends AppError {
  readonly status = 404;
  readonly retryable = false;
}

/** The path exists, but not with this method. */
export class MethodNotAllowedError extends AppError {
  readonly status = 405;
  readonly retryable = false;
  override readonly headers: Readonly<Record<string, string>>;
  constructor(method: string, allowed: readonly string[]) {
    super(`${method} is not allowed here; allowed: ${allowed.join(", ")}`);
    this.headers = { allow: allowed.join(", ") };
  }
}

/** The state of things does not allow it: a status change, stock that is too low. */
export class ConflictError extends AppError {
  readonly status = 409;
  readonly retryable = false;
}

/** The request did not arrive whole in the time that this service waits for it. */
export class RequestTimeoutError extends AppError {
  readonly status = 408;
  readonly retryable = true;
  /** The rest of the body may still come, and nothing will read it. */
  override readonly headers = { connection: "close" };
}

/** The body is larger than this service takes. */
export class PayloadTooLargeError extends AppError {
  readonly status = 413;
  readonly retryable = false;
  constructor(bytesMax: number) {
    super(`the body is larger than ${bytesMax} bytes`);
  }
}

/** The input is right by itself, and contradicts what was said before: a key that is used again. */
export class UnprocessableError extends AppError {
  readonly status = 422;
  readonly retryable = false;
}

/** What this service needs does not answer now, or it has too much to do. */
export class UnavailableError extends AppError {
  readonly status = 503;
  readonly retryable = true;
  override readonly headers = { "retry-after": "1" };
}

/** The service behind this one could not be reached, or broke the connection. */
export class BadGatewayError extends AppError {
  readonly status = 502;
  readonly retryable = true;
}

/** The service behind this one did not answer in time. */
export class GatewayTimeoutError extends AppError {
  readonly status = 504;
  readonly retryable = true;
}
