/**
 * The attribute names that the layer puts on spans, metrics and logs. What an application adds stands with it.
 *
 * The names come from OpenTelemetry's semantic conventions 1.45; what they do not have is ours and
 * stands under `orderflow.`.
 * @see https://github.com/open-telemetry/semantic-conventions/tree/main/docs
 */
export {
  ATTR_CODE_FILE_PATH,
  ATTR_CODE_FUNCTION_NAME,
  ATTR_CODE_LINE_NUMBER,
  ATTR_DB_NAMESPACE,
  ATTR_DB_QUERY_SUMMARY,
  ATTR_DB_QUERY_TEXT,
  ATTR_DB_RESPONSE_STATUS_CODE,
  ATTR_DB_SYSTEM_NAME,
  ATTR_ERROR_TYPE,
  ATTR_EXCEPTION_MESSAGE,
  ATTR_EXCEPTION_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_REQUEST_METHOD_ORIGINAL,
  ATTR_HTTP_REQUEST_RESEND_COUNT,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_HTTP_ROUTE,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_VERSION,
  ATTR_URL_FULL,
  ATTR_URL_PATH,
  ATTR_URL_QUERY,
  ATTR_URL_SCHEME,
  ATTR_USER_AGENT_ORIGINAL,
} from "@opentelemetry/semantic-conventions";

// Not yet stable in the conventions, so not exported by the package's stable entry. They are copied
// here, as the package's own README advises libraries to do.
export const ATTR_SERVICE_NAMESPACE = "service.namespace";
export const ATTR_SERVICE_INSTANCE_ID = "service.instance.id";
export const ATTR_DEPLOYMENT_ENVIRONMENT_NAME = "deployment.environment.name";
export const ATTR_PROCESS_PID = "process.pid";
export const ATTR_PROCESS_RUNTIME_NAME = "process.runtime.name";
export const ATTR_PROCESS_RUNTIME_VERSION = "process.runtime.version";
export const ATTR_CPU_MODE = "cpu.mode";
export const ATTR_MESSAGING_SYSTEM_NAME = "messaging.system.name";
export const ATTR_MESSAGING_OPERATION_NAME = "messaging.operation.name";
export const ATTR_MESSAGING_OPERATION_TYPE = "messaging.operation.type";
export const ATTR_MESSAGING_DESTINATION_NAME = "messaging.destination.name";
export const ATTR_MESSAGING_DESTINATION_PARTITION_ID = "messaging.destination.partition.id";
export const ATTR_MESSAGING_CONSUMER_GROUP_NAME = "messaging.consumer.group.name";
export const ATTR_MESSAGING_BATCH_MESSAGE_COUNT = "messaging.batch.message_count";
export const ATTR_KAFKA_MESSAGE_KEY = "kafka.message.key";
export const ATTR_KAFKA_MESSAGE_TOMBSTONE = "kafka.message.tombstone";
export const ATTR_KAFKA_OFFSET = "kafka.offset";

// Ours.
export const ATTR_INJECTED_TRACEPARENT = "orderflow.propagation.traceparent";
export const ATTR_INJECTED_BAGGAGE = "orderflow.propagation.baggage";
