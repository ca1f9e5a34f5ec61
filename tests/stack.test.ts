/** The tests' own shared stack: what they hear where it cannot start. */
import { expect, test } from "bun:test";
import { join } from "node:path";

const TEST_TIMEOUT_MS = 30_000;

test(
  "a stack whose host ends before it has connected is given up at once, and not waited for",
  async () => {
    const support = JSON.stringify(join(import.meta.dir, "support/stack.ts"));
    const program = `
      import { stack } from ${support};
      process.env.BUN_OPTIONS = "--preload=./no-such-file.ts"; // for the host: bun does not come up
      await stack().catch((error) => console.log(error.message));
      process.exit();`;
    const child = Bun.spawn([process.execPath, "-e", program], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), TEST_TIMEOUT_MS / 2);
    expect(await child.stdout.text()).toBe("the stack did not start: it ended without a word\n");
    clearTimeout(timer);
    expect(await child.stderr.text()).toContain("no-such-file");
  },
  TEST_TIMEOUT_MS,
);
