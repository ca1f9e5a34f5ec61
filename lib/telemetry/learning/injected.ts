/** Which headers crossed the hop: shown on the span that sent them. */
import { trace, type Context } from "@opentelemetry/api";
import { ATTR_INJECTED_BAGGAGE, ATTR_INJECTED_TRACEPARENT } from "../attributes.ts";
import { isSecretName, REDACTED, redactText } from "../logs/redact.ts";
import { codeLocationEnabled } from "./code-location.ts";

/**
 * With code locations on, an outgoing span also shows the `traceparent` and the `baggage` it sent, so that
 * a reader sees what crossed the hop. The values of baggage that are secret by their names are left out.
 * @param headers as they were sent
 */
export function showInjected(from: Context, headers: Readonly<Record<string, string>>): void {
  if (!codeLocationEnabled()) return;
  const { traceparent, baggage } = headers;
  trace.getSpan(from)?.setAttributes({
    [ATTR_INJECTED_TRACEPARENT]: traceparent,
    ...(baggage && { [ATTR_INJECTED_BAGGAGE]: baggage.split(",").map(withoutSecret).join(",") }),
  });
}

/** @param member of a baggage: `key=value;property` */
function withoutSecret(member: string): string {
  const [key = ""] = member.split("=", 1);
  return isSecretName(key.trim()) ? `${key}=${REDACTED}` : redactText(member);
}
