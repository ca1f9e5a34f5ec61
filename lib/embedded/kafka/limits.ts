// Every bound of the stand-in broker in one place, so that no client can make it grow without end.

/** Bounds of the stand-in broker. Sizes are in bytes, times in milliseconds. */
export const limits = {
  /** Open connections; one more is closed at once. */
  connectionsMax: 512,
  /** A connection without a byte in or out for this long is closed, as Kafka does. */
  connectionIdleMs: 600_000,
  /** One request frame, and with it what a connection may have waiting unread in memory. */
  requestBytesMax: 16 * 1024 * 1024,
  /** One response: more than a full group's leader is told, which is the most that has a reason. */
  responseBytesMax: 64 * 1024 * 1024,
  /** Items of one array in a request. */
  arrayItemsMax: 100_000,
  /** One record batch: the default of Kafka's `message.max.bytes`. */
  batchBytesMax: 1_048_588,
  /** All record batches of one fetch response; the first batch is sent even when it is larger. */
  fetchBytesMax: 16 * 1024 * 1024,
  /** The longest a fetch waits for records, whatever its client asks for. */
  fetchWaitMsMax: 60_000,
  topicsMax: 1_000,
  /** Partitions of all topics together. */
  partitionsMax: 10_000,
  groupsMax: 1_000,
  groupMembersMax: 200,
  /** Subscription metadata of one member, or its assignment. */
  memberBytesMax: 256 * 1024,
  /** Shorter than Kafka's 6 s, so that tests of a dead consumer need not wait that long. */
  sessionTimeoutMsMin: 100,
  sessionTimeoutMsMax: 1_800_000,
  rebalanceTimeoutMsMax: 1_800_000,
  /** The free text beside a committed offset: Kafka's `offset.metadata.max.bytes`. */
  offsetMetadataBytesMax: 4_096,
  /** Idempotent producers a partition remembers; the one silent for longest is forgotten first. */
  producersPerPartitionMax: 1_000,
} as const;
