/**
 * A query of Bun's that makes a span when it starts to run.
 *
 * Bun's queries are lazy: a fragment of another one never runs, and nothing is known of a statement but
 * that it may come. So a query stays what it is, `values()`, `cancel()` and all, and only the functions
 * that start it are preceded by ours.
 */
import { context, type Attributes } from "@opentelemetry/api";
import { startStatement, type Statement } from "./statement.ts";

/** Bun's query, as far as it matters here. */
export interface Query extends Promise<unknown> {
  readonly cancelled: boolean;
}

/** What is to be known of a query that may run. */
export interface QueryPlan {
  /** Tells the statement when it starts; undefined where it will not run after all. */
  readonly describe: () => Statement | undefined;
  /** Tells it again at the end, for a text that is read while it runs. */
  readonly describeLate?: () => Statement | undefined;
  /** The line that made it. */
  readonly location: Attributes | undefined;
}

type Method = (this: Query, ...given: unknown[]) => unknown;

/** `readable` and `writable` start it by one of these. */
const STARTS = ["then", "catch", "finally", "execute", "run"];

const waiting = new WeakMap<Query, QueryPlan>();
/** By the prototype that Bun gives a query: one with the functions that start it preceded by ours. */
const prototypes = new Map<object, object>();

/** Makes a query start a span when it starts to run. @returns the same query */
export function traceQuery<Q extends Query>(query: Q, plan: QueryPlan): Q {
  waiting.set(query, plan);
  return Object.setPrototypeOf(query, tracedPrototype(Object.getPrototypeOf(query))) as Q;
}

/**
 * The text that Bun makes of a query's template, its helpers and its fragments. It tells the text after
 * the run only, and not for every database; so what would make it is asked, under the names that the
 * parts of a query have in Bun 1.4.
 * @param fallback for a version in which they are called otherwise
 * @throws what running the query will throw, for helpers that are used wrongly
 */
export function textOf(query: Query, fallback: string): string {
  const parts = new Map(
    Object.getOwnPropertySymbols(query).map((symbol) => [symbol.description, symbol]),
  );
  const part = (name: string) => (query as never)[parts.get(name) as never] as unknown;
  const adapter = part("adapter") as
    { normalizeQuery?: (strings: unknown, values: unknown) => [string, unknown[]] } | undefined;
  if (typeof adapter?.normalizeQuery !== "function") return fallback;
  return adapter.normalizeQuery(part("strings"), part("values"))[0].trim();
}

function tracedPrototype(prototype: object): object {
  let traced = prototypes.get(prototype);
  if (!traced) {
    traced = Object.create(prototype) as object;
    for (const name of STARTS) {
      const own = (prototype as Record<string, unknown>)[name];
      if (typeof own !== "function") continue;
      const value: Method = function (...given) {
        return startedBy(this, () => Reflect.apply(own, this, given) as unknown);
      };
      Object.defineProperty(traced, name, { value, configurable: true, writable: true });
    }
    prototypes.set(prototype, traced);
  }
  return traced;
}

function startedBy(query: Query, run: () => unknown): unknown {
  const plan = waiting.get(query);
  waiting.delete(query);
  const statement = query.cancelled ? undefined : plan?.describe();
  if (!plan || !statement) return run();
  const running = startStatement(statement, plan.location);
  const end = (failure?: { error: unknown }) => {
    const known = plan.describeLate?.();
    if (known) running.describe(known);
    if (failure) running.fail(failure.error);
    running.end();
  };
  // Before the caller's own, so that the span has ended when the caller goes on. Not by the query's
  // `then`: that is what starts it.
  void Promise.prototype.then.call(
    query,
    () => end(),
    (error: unknown) => end({ error }),
  );
  try {
    return context.with(running.context, run);
  } catch (error) {
    end({ error });
    throw error;
  }
}
