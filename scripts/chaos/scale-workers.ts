/** One worker becomes three under load, and one again. */
import type { BookedOrder } from "./books.ts";
import { check, type Check } from "./check.ts";
import type { PostedOrder } from "./load.ts";
import type { KeptSpan } from "./kept-span.ts";
import type { ServiceEnd } from "./services.ts";
import type { ChaosStack } from "./stack.ts";

/** From one worker to three after a quarter of the time, and back after three quarters. */
export async function scaleWorkers(
  stack: ChaosStack,
  seconds: number,
  tell: (line: string) => void,
): Promise<ServiceEnd[]> {
  const quarterMs = (seconds * 1000) / 4;
  await Bun.sleep(quarterMs);
  tell("1 -> 3 workers");
  await stack.addWorkers();
  tell("3 workers are ready");
  await Bun.sleep(2 * quarterMs);
  tell("3 -> 1 workers");
  const ends = await stack.removeWorkers();
  tell("1 worker");
  return ends;
}

/**
 * All workers must have had work, and no order may be handled twice.
 * @param isQuiet whether workers only came and went in good order: after a kill, twice is allowed
 */
export function checkScaling(
  isQuiet: boolean,
  orders: readonly BookedOrder[],
  posted: readonly PostedOrder[],
  traces: ReadonlyMap<string, readonly KeptSpan[]>,
): Check {
  const traceOf = new Map(posted.map(({ customerId, traceId }) => [customerId, traceId]));
  const handledBy = new Map<string, number>();
  const breaches: string[] = [];
  for (const { id, customerId } of orders) {
    const spans = traces.get(traceOf.get(customerId) ?? "") ?? [];
    const handled = spans.filter(
      ({ name, isAbandoned }) => name === "process order.created" && !isAbandoned,
    );
    for (const { instance } of handled) {
      handledBy.set(instance, (handledBy.get(instance) ?? 0) + 1);
    }
    if (handled.length > 1) breaches.push(`order ${id} was handled ${handled.length} times`);
  }
  const shares = [...handledBy.values()].sort((a, b) => b - a).join(" + ");
  return check(
    isQuiet ? "1 -> 3 -> 1 workers: none handled twice" : "1 -> 3 -> 1 workers",
    `${shares} by ${handledBy.size} workers`,
    [...(handledBy.size < 3 ? ["not all workers had work"] : []), ...(isQuiet ? breaches : [])],
  );
}
