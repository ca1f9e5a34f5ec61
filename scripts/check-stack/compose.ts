/** docker-compose.yml: what `docker compose config` makes of it, for every profile. */
import { COMPOSE_FILES, memoryLimitMib, readCompose, ROOT } from "./files.ts";
import type { Report } from "./report.ts";
import { findTool, missing, run } from "./tools.ts";

const PROFILES = ["services", "otel", "all"] as const;

export async function checkCompose(report: Report): Promise<void> {
  const docker = findTool("docker");
  const hasCompose = docker && (await run([docker, "compose", "version"])).status === 0;
  if (!hasCompose) {
    const why = docker ? "the docker command here has no compose plugin" : missing("docker");
    report.unproven("compose files", `${why}; tests/stack-files.test.ts checks what needs none`);
  } else {
    for (const files of [COMPOSE_FILES.slice(0, 1), COMPOSE_FILES]) {
      for (const profile of ["", ...PROFILES]) {
        const what = `${files.join(" + ")}, ${profile ? `profile ${profile}` : "no profile"}`;
        const { status, output } = await run(
          [
            docker,
            "compose",
            ...files.flatMap((file) => ["--file", file]),
            ...(profile ? ["--profile", profile] : []),
            "config",
            "--quiet",
          ],
          { cwd: ROOT },
        );
        if (status === 0 && output.trim() === "") report.ok(what);
        else report.fail(what, output);
      }
    }
  }
  const total = memoryLimitMib(await readCompose(COMPOSE_FILES[0]));
  if (total > 0) report.ok(`memory limits of all containers together: ${total} MiB`);
  else report.fail("memory limits", "a container has none in MiB");
}
