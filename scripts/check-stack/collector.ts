/** The Collector's and Jaeger's configuration, as the programs themselves see it. */
import { join } from "node:path";
import { COLLECTOR_FOLDER, JAEGER_FOLDER, ROOT } from "./files.ts";
import type { Report } from "./report.ts";
import { findTool, missing, run, type ToolName } from "./tools.ts";

export async function checkCollector(report: Report): Promise<void> {
  await validate(report, "collector", COLLECTOR_FOLDER, ["config.yaml", "keep-all.yaml"]);
  await validate(report, "collector", COLLECTOR_FOLDER, ["config.yaml", "tail-sampling.yaml"]);
  await validate(report, "jaeger", JAEGER_FOLDER, ["config.yaml"]);
}

async function validate(
  report: Report,
  tool: ToolName,
  folder: string,
  files: readonly string[],
): Promise<void> {
  const what = `${folder}/ ${files.join(" + ")}: ${tool} validate`;
  const program = findTool(tool);
  if (!program) return report.unproven(what, missing(tool));
  const { status, output } = await run(
    [program, "validate", ...files.map((file) => `--config=${file}`)],
    { cwd: join(ROOT, folder) },
  );
  if (status === 0) report.ok(what);
  else report.fail(what, output);
}
