/** Whether telemetry is switched off as a whole. Context is passed on even then. */
import { isTrue } from "./environment.ts";

/**
 * @param env usually process.env
 * @see https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
 */
export function isSdkDisabled(env: Record<string, string | undefined>): boolean {
  return isTrue(env["OTEL_SDK_DISABLED"]);
}
