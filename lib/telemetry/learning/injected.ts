/** Which header crossed the hop: shown on the span that sent it. */
import { trace, type Context } from "@opentelemetry/api";
import { ATTR_INJECTED_TRACEPARENT } from "../attributes.ts";
import { codeLocationEnabled } from "./code-location.ts";

/**
 * With code locations on, an outgoing span also shows the `traceparent` it sent, so that a reader
 * sees what crossed the hop.
 * @param headers as they were sent
 */
export function showInjected(from: Context, headers: Readonly<Record<string, string>>): void {
  if (!codeLocationEnabled()) return;
  trace.getSpan(from)?.setAttributes({ [ATTR_INJECTED_TRACEPARENT]: headers["traceparent"] });
}
