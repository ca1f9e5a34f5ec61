/**
 * The instrumentation scope: who makes these spans, metrics and log records, apart from who they are about.
 * @see https://opentelemetry.io/docs/specs/otel/common/instrumentation-scope/
 */
import packageJson from "./package.json" with { type: "json" };

export const SCOPE_NAME = packageJson.name;
export const SCOPE_VERSION = packageJson.version;
