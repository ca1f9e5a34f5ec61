/**
 * A service's life: configuration, telemetry, listening, and on SIGTERM or SIGINT an orderly end
 * within 8 seconds: no new work, what is in hand, what that needed, telemetry last.
 */
import { context, ROOT_CONTEXT } from "@opentelemetry/api";
import { suppressTracing } from "@opentelemetry/core";
import type { AnyElysia } from "elysia";
import { logger } from "#lib/telemetry/logs/logger.ts";
import { preferCallersIn } from "#lib/telemetry/optional.ts";
import { startTelemetry } from "#lib/telemetry/index.ts";
import { withTimeout } from "#lib/waiting/waiting.ts";
import packageJson from "../../package.json" with { type: "json" };
import { checkReadiness, createBaseApp, type BaseAppOptions, type ReadinessChecks } from "./app.ts";
import { ConfigError, loadServiceConfig, type Env, type ServiceConfig } from "./config.ts";
import { addFaultRoutes, loadFaults, switchFaults } from "./faults.ts";
import { factsOf, SERVICE_NAMESPACE, type ServiceName } from "./services.ts";

/** Everything ends within the contract's 8 s; the parts' bounds add up to less. */
const STOP_TIMEOUT_MS = 7_700;
const WORK_TIMEOUT_MS = 5_700;
const RELEASE_TIMEOUT_MS = 400;
const FLUSH_TIMEOUT_MS = 1_200;
/** For so long answers say `Connection: close` before the server stops listening. */
const NOTICE_MS = 500;
/** For a request that came at the notice's end and takes the 5 s that a call may take. */
const DRAIN_TIMEOUT_MS = 5_500;
const DRAIN_POLL_MS = 20;
const LAST_BYTES_MS = 100;
const WAIT_LOG_INTERVAL_MS = 5_000;
const WAIT_POLL_MS = 250;

interface Ending {
  what: string;
  run: () => Promise<void> | void;
}

/**
 * Starts a service: reads its configuration and sets telemetry up.
 *
 * @param name as in OTEL_SERVICE_NAME's default
 * @param load reads the service's own variables; a ConfigError ends the process with status 1 and
 *   one line that names the variable
 */
export function startService<Config>(name: ServiceName, load: (env: Env) => Config) {
  const { own, service, faults } = readConfig(factsOf(name).port, load);
  // A span's line is the service's that wanted it, not that of what all services share.
  preferCallersIn(["services/"]);
  const telemetry = startTelemetry(
    { name, version: packageJson.version, namespace: SERVICE_NAMESPACE },
    process.env,
  );
  switchFaults(faults.on);
  const work: Ending[] = [];
  const needed: Ending[] = [];
  let stopping = false;

  const stop = async (signal: string) => {
    if (stopping) return;
    stopping = true;
    logger.info("stopping", { signal });
    setTimeout(() => process.exit(0), STOP_TIMEOUT_MS);
    await endAll(work, WORK_TIMEOUT_MS);
    await endAll(needed, RELEASE_TIMEOUT_MS);
    logger.info("stopped");
    await telemetry.shutdown(FLUSH_TIMEOUT_MS);
    process.exit(0);
  };
  // A library's forgotten rejection must not end a service that has orders in hand.
  process.on("unhandledRejection", (error) => logger.error("unhandled rejection", { error }));
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);

  return {
    config: own,
    /**
     * How to end what takes work, within 5.7 s. All of it is told at once, the server too: nothing
     * goes on taking work while something else finishes.
     */
    onStop(what: string, run: Ending["run"]) {
      work.push({ what, run });
    },
    /** How to end what the work in hand needs until its end, within 0.4 s after it. */
    afterWork(what: string, run: Ending["run"]) {
      needed.push({ what, run });
    },
    /** The app that this service adds its routes to. */
    baseApp(ready: ReadinessChecks, more: Pick<BaseAppOptions, "info" | "isEdge"> = {}) {
      const app = createBaseApp({
        ready,
        ...more,
        scrape: telemetry.scrape,
        requestsMax: service.requestsMax,
        stopping: () => stopping,
      });
      if (faults.endpoint) addFaultRoutes(app);
      return app;
    },
    /** Starts to listen, and says in the log when the service is ready and what it waits for. */
    listen(app: AnyElysia, ready: ReadinessChecks) {
      const server = listenOrExit(app, service);
      work.push({ what: "server", run: () => drain(server) });
      logger.info("listening", { host: service.host, port: server.port ?? 0 });
      void logReadiness(ready, () => stopping);
    },
  };
}

function readConfig<Config>(defaultPort: number, load: (env: Env) => Config) {
  try {
    const service = loadServiceConfig(process.env, defaultPort);
    return { service, faults: loadFaults(process.env), own: load(process.env) };
  } catch (error) {
    if (error instanceof ConfigError) exitWith(error.message);
    throw error;
  }
}

function listenOrExit(app: AnyElysia, { host, port }: ServiceConfig) {
  try {
    app.listen({ hostname: host, port });
  } catch (error) {
    // Whatever the error says: where no port at all can be had, it is the address that is wrong. For a
    // name that does not resolve Bun may say "address in use".
    if (!canListenOn(host)) exitWith(`HOST ${host} cannot be listened on`);
    const { code } = error as { code?: unknown };
    if (code === "EACCES") exitWith(`PORT ${port} on ${host} may not be listened on`);
    exitWith(`PORT ${port} on ${host} is in use`);
  }
  return app.server as Bun.Server<unknown>;
}

function canListenOn(hostname: string): boolean {
  try {
    Bun.listen({ hostname, port: 0, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}

/** One line for a person, then the end: nothing is running yet. */
function exitWith(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/**
 * Readiness has gone by now, and every answer says `Connection: close`: callers that keep a
 * connection open are given the time to hear it, so that no request is under way on a connection that
 * closes. Then no new connection is taken, and the requests in hand are waited for.
 */
async function drain(server: Bun.Server<unknown>): Promise<void> {
  const giveUpAtMs = performance.now() + DRAIN_TIMEOUT_MS;
  await Bun.sleep(NOTICE_MS);
  const stopped = server.stop();
  while (server.pendingRequests > 0 && performance.now() < giveUpAtMs) {
    await Bun.sleep(DRAIN_POLL_MS);
  }
  // Half a request line is no request in hand, but `stopped` would wait for the rest of it.
  await Promise.race([stopped, Bun.sleep(LAST_BYTES_MS)]);
  void server.stop(true);
}

async function endAll(endings: readonly Ending[], timeoutMs: number): Promise<void> {
  await Promise.all(
    endings.map(({ what, run }) =>
      withTimeout(Promise.try(run), timeoutMs).catch((error: unknown) =>
        logger.warn(`stopping ${what} failed`, { error }),
      ),
    ),
  );
}

/** Says once what the service waits for, again while it waits on, and once that it is ready. */
async function logReadiness(ready: ReadinessChecks, stopping: () => boolean): Promise<void> {
  let saidMs = Number.NEGATIVE_INFINITY;
  while (!stopping()) {
    const readiness = await context.with(suppressTracing(ROOT_CONTEXT), () =>
      checkReadiness({ ready, stopping }),
    );
    if (readiness.ready) return logger.info("ready");
    if (performance.now() - saidMs > WAIT_LOG_INTERVAL_MS) {
      saidMs = performance.now();
      logger.warn("waiting for what this service needs", { checks: readiness.checks });
    }
    await Bun.sleep(WAIT_POLL_MS);
  }
}
