/** bunfig.toml: what bun does of itself, and shall not. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TEST_TIMEOUT_MS = 30_000;
const PROGRAM = `console.log("seen:", process.env.LOG_LEVEL);`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "orderflow-bunfig-test-"));
  await cp(join(import.meta.dir, "../bunfig.toml"), join(folder, "bunfig.toml"));
  const scripts = { show: "bun show.ts" };
  await Bun.write(join(folder, "package.json"), JSON.stringify({ scripts }));
  await Bun.write(join(folder, "show.ts"), PROGRAM);
  await Bun.write(join(folder, "show.test.ts"), `${PROGRAM} it("shows", () => {});`);
  for (const file of [".env", ".env.local", ".env.test"]) {
    await Bun.write(join(folder, file), "LOG_LEVEL=from-a-file\n");
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each(["show.ts", "run show.ts", "run show", "test"])(
  "bun %s takes no variables from a file .env, which is compose's",
  async (args) => {
    const { PATH = "/usr/bin:/bin", HOME = "/" } = process.env;
    const child = Bun.spawn([process.execPath, ...args.split(" ")], {
      cwd: folder,
      env: { PATH: `${join(process.execPath, "..")}:${PATH}`, HOME },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    expect(await child.exited).toBe(0);
    expect(stdout + stderr).toContain("seen: undefined");
  },
  TEST_TIMEOUT_MS,
);
