/** What the SDK says about itself, in our log. */
import type { DiagLogger } from "@opentelemetry/api";
import { logger } from "../logs/logger.ts";

/**
 * The SDK's own messages, each said once: with a collector down it would repeat the same one at
 * every batch. How much is dropped is told by the metric.
 * @param namesRead variables of which we have said ourselves what is wrong with them
 */
export function onceEach(namesRead: ReadonlySet<string>): DiagLogger {
  const said = new Set<string>();
  const say =
    (write: typeof logger.warn) =>
    (message: string, ...rest: unknown[]) => {
      const text = errorMessageIn(message);
      // The SDK reads some variables once more by itself, and less exactly.
      if (text.match(/\bOTEL_[A-Z_]+/g)?.some((name) => namesRead.has(name))) return;
      const kind = text.replace(/\d+/g, "0").slice(0, 80);
      if (said.has(kind) || said.size >= 100) return;
      said.add(kind);
      write(`telemetry: ${text}`, rest.length > 0 ? { details: rest } : {});
    };
  return {
    error: say(logger.warn),
    warn: say(logger.warn),
    info: say(logger.info),
    debug: say(logger.debug),
    verbose: say(logger.debug),
  };
}

/** The SDK hands over an error as JSON of all its properties, its stack included. */
function errorMessageIn(text: string): string {
  try {
    return String((JSON.parse(text) as { message?: unknown }).message ?? text);
  } catch {
    return text;
  }
}
