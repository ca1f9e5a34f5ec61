/**
 * Checks the stack as far as it goes without a Docker engine or a Kubernetes cluster:
 *
 *     bun scripts/check-stack/index.ts [compose | kubernetes | image | collector | prometheus | live]…
 *
 * Without an argument, all of it. What cannot be checked on a machine, since a program is not
 * installed there, is said (`unproven`) and is no failure.
 */
import { checkLive } from "./check-live.ts";
import { checkCollector } from "./collector.ts";
import { checkCompose } from "./compose.ts";
import { checkImage } from "./image.ts";
import { checkKubernetes } from "./kubernetes.ts";
import { checkPrometheus } from "./prometheus.ts";
import { createReport, type Report } from "./report.ts";

const PARTS: Readonly<Record<string, (report: Report) => Promise<void>>> = {
  compose: checkCompose,
  kubernetes: checkKubernetes,
  image: checkImage,
  collector: checkCollector,
  prometheus: checkPrometheus,
  live: checkLive,
};

const names = process.argv.slice(2);
const unknown = names.find((name) => !(name in PARTS));
if (unknown !== undefined) {
  console.error(`usage: bun scripts/check-stack/index.ts [${Object.keys(PARTS).join(" | ")}]…`);
  process.exit(2);
}

const report = createReport();
for (const [name, check] of Object.entries(PARTS)) {
  if (names.length > 0 && !names.includes(name)) continue;
  console.log(name);
  try {
    await check(report);
  } catch (error) {
    report.fail(name, error instanceof Error ? error.message : String(error));
  }
}
const { ok, failed, unproven } = report.counts;
console.log(`${ok} ok, ${failed} failed, ${unproven} unproven`);
process.exit(failed > 0 ? 1 : 0);
