// bun run test: the tests, many files at a time, with one PostgreSQL for all that want a database of their own.

import { pastProxies } from "#lib/embedded/past-proxies.ts";
import { startPostgres } from "#lib/embedded/postgres.ts";

/** More than the processors: most of a test's time is waiting. */
const FILES_AT_ONCE = 6;
/** Above what any step of a test waits for, so that the step tells what was missing. */
const TIMEOUT_MS = 60_000;
/** How long each file takes: the longest ones are begun first. `--update-timings` writes it anew. */
const TIMINGS = "tests/timings.json";
/** Stacks of services, and their pools, that are there at once. */
const CONNECTIONS_MAX = 500;

/** What each command runs: `bun run test` is for every change, the others are for CI. */
const SETS: Readonly<Record<string, readonly string[]>> = {
  fast: ["slow", "tutorial", "recipe"].map((name) => `--path-ignore-patterns=**/tests/${name}/**`),
  // Time limits that are waited for in earnest, real browsers, servers that are killed and frozen.
  slow: ["tests/slow/"],
  // Each stage of the chapter, each mistake that its checks find, each recording on its pages. These bring
  // their own companions: six at a time in one file.
  tutorial: ["tests/tutorial/"],
  // CONTRIBUTING.md's recipe in a copy of the checkout, with all of `fast` there.
  recipe: ["tests/recipe/"],
  all: [],
};
const USAGE = `usage: bun scripts/test.ts ${Object.keys(SETS).join(" | ")} [FILTER] [OPTION OF bun test]`;

const [set = "", ...args] = process.argv.slice(2);
/** A file or folder that is named is run, wherever it lies. */
const isNamed = args.some((arg) => /^[^-].*(\/|\.ts$)/.test(arg));
const chosen = set === "fast" && isNamed ? SETS["all"] : SETS[set];
if (chosen) {
  process.exitCode = await run(chosen);
} else {
  console.error(USAGE);
  process.exitCode = 2;
}

/** @returns the exit status of the tests */
async function run(files: readonly string[]): Promise<number> {
  const { POSTGRES_URL: given, KAFKA_BROKERS: brokers } = process.env;
  // Nothing of it is kept; that a commit is on the disk is tested on servers of the tests' own.
  const settings = { max_connections: String(CONNECTIONS_MAX), fsync: "off" };
  const postgres = given ? undefined : await startPostgres({ settings });
  try {
    const tests = Bun.spawn(
      [
        process.execPath,
        "test",
        `--timeout=${TIMEOUT_MS}`,
        // On a broker that is given, all stacks share a topic and its consumer group. A worker's files share
        // what is expensive to start: its stack.
        ...(brokers || set === "tutorial" ? [] : [`--parallel=${FILES_AT_ONCE}`, "--no-isolate"]),
        `--timings=${TIMINGS}`,
        ...files,
        ...args,
      ],
      {
        env: { ...process.env, ...pastProxies(process.env), POSTGRES_URL: given || postgres?.url },
        stdio: ["inherit", "inherit", "inherit"],
      },
    );
    // What Ctrl-C ends are the tests; the server goes after them.
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => tests.kill(signal));
    }
    return await tests.exited;
  } finally {
    await postgres?.stop();
  }
}
