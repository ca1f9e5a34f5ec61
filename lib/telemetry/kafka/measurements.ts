/**
 * How many records go out and come in, and how long that takes.
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/messaging/messaging-metrics.md
 */
import type { Attributes } from "@opentelemetry/api";
import {
  ATTR_ERROR_TYPE,
  ATTR_MESSAGING_CONSUMER_GROUP_NAME,
  ATTR_MESSAGING_DESTINATION_NAME,
  ATTR_MESSAGING_OPERATION_NAME,
  ATTR_MESSAGING_OPERATION_TYPE,
  ATTR_MESSAGING_SYSTEM_NAME,
} from "../attributes.ts";
import { errorTypeOf } from "../error-text.ts";
import {
  messagingClientConsumedMessages,
  messagingClientOperationDuration,
  messagingClientSentMessages,
  messagingProcessDuration,
} from "../metrics/instruments.ts";

/** Measures a send of so many records. @returns what it returns. @throws what it throws */
export function measureSend<T>(topic: string, count: number, send: () => Promise<T>): Promise<T> {
  const attributes = {
    [ATTR_MESSAGING_SYSTEM_NAME]: "kafka",
    [ATTR_MESSAGING_OPERATION_NAME]: "send",
    [ATTR_MESSAGING_DESTINATION_NAME]: topic,
  };
  return timed(send, (seconds, failure) => {
    messagingClientSentMessages.add(count, { ...attributes, ...failure });
    messagingClientOperationDuration.record(seconds, {
      ...attributes,
      [ATTR_MESSAGING_OPERATION_TYPE]: "send",
      ...failure,
    });
  });
}

/** Counts a record that came in, and measures its handling. @returns what that returns. @throws as it does */
export function measureProcess<T>(
  topic: string,
  consumerGroup: string,
  handle: () => Promise<T>,
): Promise<T> {
  const attributes = {
    [ATTR_MESSAGING_SYSTEM_NAME]: "kafka",
    [ATTR_MESSAGING_DESTINATION_NAME]: topic,
    [ATTR_MESSAGING_CONSUMER_GROUP_NAME]: consumerGroup,
  };
  messagingClientConsumedMessages.add(1, {
    ...attributes,
    [ATTR_MESSAGING_OPERATION_NAME]: "consume",
  });
  return timed(handle, (seconds, failure) => {
    messagingProcessDuration.record(seconds, {
      ...attributes,
      [ATTR_MESSAGING_OPERATION_NAME]: "process",
      ...failure,
    });
  });
}

/** @param record gets the time that the work took and, where it failed, `error.type` */
async function timed<T>(
  work: () => Promise<T>,
  record: (seconds: number, failure: Attributes | undefined) => void,
): Promise<T> {
  const startedMs = performance.now();
  let failure: Attributes | undefined;
  try {
    return await work();
  } catch (error) {
    failure = { [ATTR_ERROR_TYPE]: errorTypeOf(error) };
    throw error;
  } finally {
    record((performance.now() - startedMs) / 1000, failure);
  }
}
