/** Prometheus's configuration and rules, as promtool sees them. */
import { join } from "node:path";
import { PROMETHEUS_FOLDER, ROOT } from "./files.ts";
import type { Report } from "./report.ts";
import { findTool, missing, run } from "./tools.ts";

export async function checkPrometheus(report: Report): Promise<void> {
  const promtool = findTool("promtool");
  if (!promtool) return report.unproven("prometheus.yml and its rules", missing("promtool"));
  const cwd = join(ROOT, PROMETHEUS_FOLDER);
  const commands = [
    ["check", "config", "prometheus.yml"],
    ["check", "rules", "rules/red.yml", "rules/alerts.yml"],
    ["test", "rules", "rules/alerts.test.yml"],
  ];
  for (const command of commands) {
    const { status, output } = await run([promtool, ...command], { cwd });
    const what = `promtool ${command.join(" ")}`;
    if (status === 0) report.ok(what);
    else report.fail(what, output);
  }
}
