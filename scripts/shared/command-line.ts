/** The frame of a command: its mistakes are answered with its usage, all else with what went wrong. */
import { parseArgs, type ParseArgsConfig } from "node:util";

/** A mistake of whoever typed the command. */
export class UsageError extends Error {}

/**
 * Runs a command on this process's arguments and ends the process: with status 0, or with 1 and what is
 * wrong on standard error. `--help` shows the usage.
 * @param describe what to say of an error that is no {@link UsageError}
 */
export async function runCommand(
  usage: string,
  main: (args: string[]) => Promise<void>,
  describe: (error: unknown) => string,
): Promise<never> {
  const args = Bun.argv.slice(2);
  try {
    if (args.includes("--help") || args.includes("-h")) console.log(usage);
    else await main(args);
    process.exit(0);
  } catch (error) {
    const isUsage = error instanceof UsageError;
    console.error(isUsage ? `${error.message}\n${usage}` : describe(error));
    process.exit(1);
  }
}

/** A flag's whole number within bounds. @throws UsageError that names the flag */
export function wholeNumber(
  name: string,
  text: string | undefined,
  fallback: number,
  { min, max }: { readonly min: number; readonly max: number },
): number {
  if (text === undefined) return fallback;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`--${name} must be an integer from ${min} to ${max}`);
}

/** Reads flags, and words between them. @throws UsageError that names what is not known */
export function parseCommand<Options extends NonNullable<ParseArgsConfig["options"]>>(
  args: string[],
  options: Options,
) {
  try {
    return parseArgs({ args, allowPositionals: true, options });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
