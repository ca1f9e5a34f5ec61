/** CONTRIBUTING.md's "Add a service": in a copy, a service that only the list knows is asked for in every other place. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
const COPIED = [
  "lib",
  "services",
  "scripts",
  "tests",
  "docs",
  "deploy",
  "observability",
  "migrations",
  "docker-compose.yml",
  "docker-compose.local.yml",
  "Dockerfile",
  ".dockerignore",
  "Makefile",
  "package.json",
  "bunfig.toml",
  "tsconfig.json",
  "README.md",
];

setDefaultTimeout(120_000);

let checkout: string;
beforeAll(async () => {
  checkout = await mkdtemp(join(tmpdir(), "orderflow-add-service-"));
  for (const part of COPIED) {
    await cp(join(ROOT, part), join(checkout, part), {
      recursive: true,
      filter: (path) => !path.includes("node_modules"),
    });
  }
  await symlink(join(ROOT, "node_modules"), join(checkout, "node_modules"));
  await edit("lib/service/services.ts", (text) =>
    text
      .replace(
        "  email: {",
        '  shipping: { what: "shipping", port: 8085, postgres: true, kafka: false, calls: [] },\n  email: {',
      )
      .replace('"inventory", "email"],', '"inventory", "email", "shipping"],'),
  );
  await mkdir(join(checkout, "services/shipping"));
  await writeFile(
    join(checkout, "services/shipping/index.ts"),
    `import { databaseConfig } from "#lib/service/config.ts";
import { openDatabase } from "#lib/service/database.ts";
import { startService } from "#lib/service/lifecycle.ts";

const service = startService("shipping", databaseConfig);
const database = openDatabase(service.config, "shipping");
service.afterWork("database", () => database.close());
const ready = { postgres: () => database.probe("orders.orders") };
service.listen(service.baseApp(ready), ready);
`,
  );
});
afterAll(() => rm(checkout, { recursive: true, force: true }));

test("the list itself is content, and the service starts from it", async () => {
  const { status } = await run(["test", "lib/service/services.test.ts"]);
  expect(status).toBe(0);
  const { output } = await run(["services/shipping/index.ts"]);
  expect(output.trim()).toStartWith("POSTGRES_URL is required and not set");
});

test("the types name the tables that want a row", async () => {
  const { status, output } = await run(["check", "--no-script"]);
  expect(status).not.toBe(0);
  const files = [...output.matchAll(/^(\S+\.ts)\(\d+,\d+\): error .*shipping/gm)].map(
    ([, file]) => file,
  );
  expect([...new Set(files)].sort()).toEqual([
    "scripts/config-docs.ts",
    "tests/hostile-routes.test.ts",
  ]);
});

test("the checks name each file that does not know it", async () => {
  const { status, output } = await run([
    "test",
    "tests/stack-files.test.ts",
    "tests/kubernetes-files.test.ts",
    "tests/config-docs.test.ts",
  ]);
  expect(status).not.toBe(0);
  const failed = [...new Set([...output.matchAll(/^\(fail\) (.*?) \[/gm)].map(([, name]) => name))];
  expect(failed).toEqual(
    expect.arrayContaining([
      "docker-compose.yml > has every part of the system, and each profile what it is for",
      "docker-compose.yml > gives every service what its configuration asks for, at addresses where it is",
      "Dockerfile > runs as an ordinary user, with a health check and a stop signal",
      "Prometheus and the Collector > every service is scraped at its port, by its name",
      "the original's commands are package scripts, and make has each under its old name",
      "deploy/kubernetes/base > has the five services and the migrations, each object once, in one namespace",
      "the file is as the code has it (else: bun scripts/config-docs.ts)",
    ]),
  );
  expect(output).toContain("shipping");
});

async function edit(path: string, change: (text: string) => string): Promise<void> {
  const file = join(checkout, path);
  const before = await Bun.file(file).text();
  const after = change(before);
  expect(after).not.toBe(before);
  await writeFile(file, after);
}

/** bun, in the copy. */
async function run(args: readonly string[]): Promise<{ status: number; output: string }> {
  const { POSTGRES_URL: _, POSTGRES_URL_FILE: __, ...env } = process.env;
  const child = Bun.spawn([process.execPath, ...args], {
    cwd: checkout,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, status] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { status, output: out + err };
}
