// The chaos test: kills every part under load, and checks that nothing was lost. See docs/chaos.md.
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unlessAborted } from "#lib/waiting/waiting.ts";
import { parseOptions, USAGE, type ChaosOptions } from "./chaos/options.ts";
import { createRandom } from "./chaos/random.ts";
import { renderTable } from "./chaos/report.ts";
import { runChaos } from "./chaos/run.ts";
import { startStack, type ChaosStack } from "./chaos/stack.ts";
import { interruption, Interrupted } from "./shared/interruption.ts";

let options: ChaosOptions | "help";
try {
  options = parseOptions(Bun.argv.slice(2));
} catch (error) {
  console.error(`${(error as Error).message}\n${USAGE}`);
  process.exit(2);
}
if (options === "help") {
  console.log(USAGE);
  process.exit(0);
}

const libsDir = process.env["APACHE_KAFKA_LIBS"] || undefined;
if (options.cluster && !libsDir) {
  console.error(`--cluster needs APACHE_KAFKA_LIBS\n${USAGE}`);
  process.exit(2);
}

const interrupted = interruption(() => console.error("stopping"));
// What still goes on while all is being stopped is nothing to tell of.
const say = (line: string) => {
  if (!interrupted.aborted) console.log(line);
};
const folder = await mkdtemp(join(tmpdir(), "orderflow-chaos-"));
await chmod(folder, 0o755);
let stack: ChaosStack | undefined;
let exitStatus = 1;
try {
  const { seed, orders, seconds, kills, cluster } = options;
  // A sequence of its own, as the orders have: the same nodes suffer whatever else is drawn.
  const clusterRandom = cluster ? createRandom(seed + 2) : undefined;
  stack = await startStack(folder, { libsDir, clusterRandom }, interrupted);
  say(
    `chaos: --seed ${seed}, ${orders} orders in ${seconds} s, ${kills} kills, ${stack.kafkaKind}` +
      (stack.victims.get("kafka")?.means === "SIGSTOP" ? " (frozen, not killed)" : ""),
  );
  const checks = await unlessAborted(runChaos(stack, options, say), interrupted);
  say(`\n${renderTable(checks)}\n`);
  const red = checks.filter(({ breaches }) => breaches.length > 0).length;
  exitStatus = red === 0 ? 0 : 1;
  say(red === 0 ? `seed ${seed}: nothing was lost` : `seed ${seed}: ${red} checks are RED`);
} catch (error) {
  if (error instanceof Interrupted) exitStatus = error.exitStatus;
  else console.error(error);
}
await stack?.stop();
const isKept = !interrupted.aborted && (exitStatus !== 0 || options.keep);
if (isKept) console.error(`the logs and spans of this run are in ${folder}`);
else await rm(folder, { recursive: true, force: true });
process.exit(exitStatus);
