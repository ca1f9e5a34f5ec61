// Baggage: what travels beside a trace to every service, and here one entry of it, whose customer it is about.
import { context, propagation, type Context, type Span } from "@opentelemetry/api";
import type { SpanProcessor } from "@opentelemetry/sdk-trace-base";

const ENTRY = "tenant";
const CHARS_MAX = 64;

// #region set
/** Runs `work` with the tenant in the baggage: each request and each record sent meanwhile carries it. */
export async function withTenant<T>(tenant: string, work: () => Promise<T>): Promise<T> {
  const baggage = propagation.getActiveBaggage() ?? propagation.createBaggage();
  const value = tenant.slice(0, CHARS_MAX);
  const carrying = propagation.setBaggage(context.active(), baggage.setEntry(ENTRY, { value }));
  return await context.with(carrying, work);
}
// #endregion set

// #region processor
/** Puts the tenant on every span. This entry alone: what else a caller sends as baggage is anybody's word. */
export class TenantProcessor implements SpanProcessor {
  onStart(span: Span, parent: Context): void {
    const value = propagation.getBaggage(parent)?.getEntry(ENTRY)?.value;
    if (value) span.setAttribute("shop.tenant", value.slice(0, CHARS_MAX));
  }
  onEnd(): void {}
  async forceFlush(): Promise<void> {}
  async shutdown(): Promise<void> {}
}
// #endregion processor
