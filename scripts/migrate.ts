// The migration tool: bun run migrate up | down | version | force | create.

import { relative } from "node:path";

import {
  createMigration,
  forceVersion,
  isMigrationName,
  MigrateError,
  migrateDown,
  migrateUp,
  readVersion,
  type MigrateOptions,
  type Step,
} from "#lib/migrate/index.ts";
import { secret } from "#lib/service/config.ts";
import { Interrupted, interruption } from "./shared/interruption.ts";

const USAGE =
  "usage: bun run migrate up [N] | down [N] | version | force V | create NAME " +
  "(N steps: up takes all by default, down one; V is a version or -1; NAME is of a-z, 0-9, _)";

/** The command line makes no sense; the usage line answers it. */
class UsageError extends Error {}

/** For the server to cancel the file that is at work. */
const END_WITHIN_MS = 5_000;

const signal = interruption(() => {
  console.error("migrate: interrupted; ending what is at work");
  setTimeout(() => process.exit(interruptedStatus()), END_WITHIN_MS).unref();
});

try {
  await run(process.argv.slice(2));
} catch (error) {
  const isUsageError = error instanceof UsageError;
  console.error(isUsageError ? USAGE : `migrate: ${describe(error)}`);
  process.exitCode = interruptedStatus() ?? (isUsageError ? 2 : 1);
}

function interruptedStatus(): number | undefined {
  return signal.reason instanceof Interrupted ? signal.reason.exitStatus : undefined;
}

async function run(args: readonly string[]): Promise<void> {
  const [command, argument, ...rest] = args;
  if (rest.length > 0) throw new UsageError();

  switch (command) {
    case "up": {
      const stepsMax = count(argument);
      return printRun(await migrateUp({ ...options(), stepsMax }));
    }
    case "down": {
      const stepsMax = count(argument) ?? 1;
      return printRun(await migrateDown({ ...options(), stepsMax }));
    }
    case "version": {
      if (argument !== undefined) throw new UsageError();
      const { version, dirty } = await readVersion(options().postgresUrl);
      return console.log(`${version ?? "no migration"}${dirty ? " (dirty)" : ""}`);
    }
    case "force": {
      const version = versionNumber(argument);
      await forceVersion({ ...options(), version });
      return console.log(nameVersion(version));
    }
    case "create": {
      if (argument === undefined || !isMigrationName(argument)) throw new UsageError();
      const paths = await createMigration({ name: argument, migrationsPath: migrationsPath() });
      console.log(relative(process.cwd(), paths.upPath));
      return console.log(relative(process.cwd(), paths.downPath));
    }
    case "--help":
    case "-h":
      return console.log(USAGE);
    default:
      throw new UsageError();
  }
}

function options(): MigrateOptions {
  const postgresUrl = secret(process.env, "POSTGRES_URL");
  if (!postgresUrl) throw new MigrateError("POSTGRES_URL is not set, nor is POSTGRES_URL_FILE");
  return {
    postgresUrl,
    migrationsPath: migrationsPath(),
    signal,
    onStep: printStep,
    onWarning: printWarning,
  };
}

function migrationsPath(): string | undefined {
  // An empty variable is an unset one, as in compose files.
  return process.env["MIGRATIONS_PATH"] || undefined;
}

function count(argument: string | undefined): number | undefined {
  if (argument === undefined) return undefined;
  const value = Number(argument);
  if (!/^\d+$/.test(argument) || !Number.isSafeInteger(value) || value === 0) {
    throw new UsageError();
  }
  return value;
}

function versionNumber(argument: string | undefined): number | null {
  if (argument === "-1") return null;
  const value = Number(argument);
  if (argument === undefined || !/^\d+$/.test(argument) || !Number.isSafeInteger(value)) {
    throw new UsageError();
  }
  return value;
}

function printStep(step: Step, durationMs: number): void {
  console.log(`${step.file} (${durationMs.toFixed(1)} ms)`);
}

function printWarning(line: string): void {
  console.error(`migrate: ${line}`);
}

function printRun({ from, to }: { from: number | null; to: number | null }): void {
  console.log(from === to ? "no change" : nameVersion(to));
}

function nameVersion(version: number | null): string {
  return version === null ? "no migration" : `version ${version}`;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
