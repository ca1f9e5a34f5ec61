// The protocol's error codes, and the two ways a request can fail.

/**
 * Error codes of the Kafka protocol, those this broker answers with.
 * @see https://kafka.apache.org/41/design/protocol/#error-codes
 */
export const ErrorCode = {
  NONE: 0,
  OFFSET_OUT_OF_RANGE: 1,
  CORRUPT_MESSAGE: 2,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  MESSAGE_TOO_LARGE: 10,
  OFFSET_METADATA_TOO_LARGE: 12,
  INVALID_TOPIC_EXCEPTION: 17,
  INVALID_REQUIRED_ACKS: 21,
  ILLEGAL_GENERATION: 22,
  INCONSISTENT_GROUP_PROTOCOL: 23,
  INVALID_GROUP_ID: 24,
  UNKNOWN_MEMBER_ID: 25,
  INVALID_SESSION_TIMEOUT: 26,
  REBALANCE_IN_PROGRESS: 27,
  UNSUPPORTED_VERSION: 35,
  TOPIC_ALREADY_EXISTS: 36,
  INVALID_PARTITIONS: 37,
  INVALID_REPLICATION_FACTOR: 38,
  INVALID_REQUEST: 42,
  POLICY_VIOLATION: 44,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  INVALID_PRODUCER_EPOCH: 47,
  FETCH_SESSION_ID_NOT_FOUND: 70,
  MEMBER_ID_REQUIRED: 79,
  GROUP_MAX_SIZE_REACHED: 81,
  INVALID_RECORD: 87,
} as const;

/** One of {@link ErrorCode}'s numbers. */
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** The request was understood and is refused: its response carries the code. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";

  /**
   * @param code what the response says
   * @param message why, for the protocol fields that have room for it
   */
  constructor(
    readonly code: ErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** No request that this broker can read, or answer within its bounds: the connection ends. */
export class MalformedRequestError extends Error {
  override readonly name = "MalformedRequestError";
}
