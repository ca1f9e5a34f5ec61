/** Traffic as a user makes it. */
import { join } from "node:path";

/** bun run generate-traffic, to its end. */
export async function makeTraffic(env: Record<string, string>, args: readonly string[] = []) {
  const child = startTraffic(env, args);
  const [stdout, stderr, exitStatus] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { stdout, stderr, exitStatus };
}

/** The same, begun. */
export function startTraffic(env: Record<string, string>, args: readonly string[] = []) {
  return Bun.spawn([process.execPath, "scripts/generate-traffic.ts", ...args], {
    cwd: join(import.meta.dir, "../.."),
    env: { ...process.env, ORDER_COUNT: "", ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}
