/** Who is speaking: the resource that stands on every span, metric and log record. */
import { defaultResource, emptyResource, resourceFromAttributes } from "@opentelemetry/resources";
import { diag } from "@opentelemetry/api";
import {
  ATTR_DEPLOYMENT_ENVIRONMENT_NAME,
  ATTR_PROCESS_PID,
  ATTR_PROCESS_RUNTIME_NAME,
  ATTR_PROCESS_RUNTIME_VERSION,
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_NAMESPACE,
  ATTR_SERVICE_VERSION,
} from "../attributes.ts";

/**
 * Builds the resource. OTEL_RESOURCE_ATTRIBUTES goes over our own values, OTEL_SERVICE_NAME over
 * both; a new `service.instance.id` is made at each start.
 *
 * @param service name, version and the system it is part of, as the program knows them
 * @see https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
 */
export function createResource(
  service: { name: string; version: string; namespace?: string },
  env: Record<string, string | undefined>,
) {
  const own = resourceFromAttributes({
    [ATTR_SERVICE_NAME]: service.name,
    [ATTR_SERVICE_VERSION]: service.version,
    ...(service.namespace && { [ATTR_SERVICE_NAMESPACE]: service.namespace }),
    [ATTR_SERVICE_INSTANCE_ID]: crypto.randomUUID(),
    [ATTR_DEPLOYMENT_ENVIRONMENT_NAME]: "development",
    [ATTR_PROCESS_PID]: process.pid,
    [ATTR_PROCESS_RUNTIME_NAME]: "bun",
    [ATTR_PROCESS_RUNTIME_VERSION]: Bun.version,
  });
  const name = env["OTEL_SERVICE_NAME"];
  return defaultResource()
    .merge(own)
    .merge(resourceFromAttributes(attributesOf(env["OTEL_RESOURCE_ATTRIBUTES"])))
    .merge(name ? resourceFromAttributes({ [ATTR_SERVICE_NAME]: name }) : emptyResource());
}

/** `key=value,key=value`, percent-encoded; the specification says to drop all if one is bad. */
function attributesOf(text: string | undefined): Record<string, string> {
  const pairs = (text ?? "").split(",").filter((pair) => pair.trim() !== "");
  try {
    return Object.fromEntries(pairs.map(keyAndValue));
  } catch {
    diag.warn("OTEL_RESOURCE_ATTRIBUTES is malformed and was left out");
    return {};
  }
}

function keyAndValue(pair: string): [key: string, value: string] {
  const [, key, value] = /^([^=]+)=([^=]*)$/.exec(pair) ?? [];
  if (key === undefined || value === undefined) throw new Error("not key=value");
  return [decodeURIComponent(key.trim()), decodeURIComponent(value.trim())];
}
