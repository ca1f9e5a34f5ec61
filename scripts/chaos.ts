// The chaos test: kills every part under load, and checks that nothing was lost. See docs/chaos.md.
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseOptions, USAGE, type ChaosOptions } from "./chaos/options.ts";
import { renderTable } from "./chaos/report.ts";
import { runChaos } from "./chaos/run.ts";
import { startStack, type ChaosStack } from "./chaos/stack.ts";

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

const folder = await mkdtemp(join(tmpdir(), "orderflow-chaos-"));
await chmod(folder, 0o755);
let stack: ChaosStack | undefined;
let isInterrupted = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, async () => {
    if (isInterrupted) return;
    isInterrupted = true;
    await stack?.stop();
    await rm(folder, { recursive: true, force: true });
    process.exit(130);
  });
}

let isGreen = false;
try {
  const { seed, orders, seconds, kills } = options;
  stack = await startStack(folder, process.env["APACHE_KAFKA_LIBS"] || undefined);
  console.log(
    `chaos: --seed ${seed}, ${orders} orders in ${seconds} s, ${kills} kills, ${stack.kafkaKind}` +
      (stack.victims.get("kafka")?.means === "SIGSTOP" ? " (frozen, not killed)" : ""),
  );
  const checks = await runChaos(stack, options, (line) => console.log(line));
  console.log(`\n${renderTable(checks)}\n`);
  const red = checks.filter(({ breaches }) => breaches.length > 0).length;
  isGreen = red === 0;
  console.log(isGreen ? `seed ${seed}: nothing was lost` : `seed ${seed}: ${red} checks are RED`);
} catch (error) {
  if (!isInterrupted) console.error(error);
} finally {
  if (!isInterrupted) {
    await stack?.stop();
    if (isGreen && !options.keep) await rm(folder, { recursive: true, force: true });
    else console.error(`the logs and spans of this run are in ${folder}`);
    process.exit(isGreen ? 0 : 1);
  }
}
