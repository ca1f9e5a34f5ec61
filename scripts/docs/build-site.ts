/** Builds docs/site/. */
import { join } from "node:path";
import { ROOT } from "../tutorial/stages.ts";
import { checkSite } from "./check-site.ts";
import { planSite, urlOf } from "./site-plan.ts";

const SITE = join(ROOT, "docs/site");

/** Where the built site is. */
export const SITE_DIST = join(SITE, ".vitepress/dist");

/**
 * Installs what docs/site/bun.lock names, builds, and looks at what was built.
 * @throws Error where one of them fails; what was wrong has been printed then, or is said
 */
export async function buildSite(signal?: AbortSignal): Promise<void> {
  await run(
    ["install", "--frozen-lockfile", "--silent"],
    "the site's packages were not installed",
    signal,
  );
  // By Bun and not by Node, as the program's own first line would have it: the site's configuration
  // loads the repository's TypeScript.
  const program = "node_modules/vitepress/bin/vitepress.js";
  await run(["--bun", program, "build"], "the site was not built", signal);
  const problems = await checkSite(SITE_DIST, new Set([...planSite().missing].map(urlOf)));
  if (problems.length > 0) throw new Error(`the site is not right:\n${problems.join("\n")}`);
}

async function run(args: readonly string[], failure: string, signal?: AbortSignal): Promise<void> {
  const command = Bun.spawn([process.execPath, ...args], {
    cwd: SITE,
    stdio: ["ignore", "inherit", "inherit"],
    ...(signal && { signal }),
  });
  if ((await command.exited) !== 0) throw new Error(failure);
}
