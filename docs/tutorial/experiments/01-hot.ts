// A traced server whose file is changed while it runs: under `bun --hot`, and under `bun --watch`.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";

/** In the checkout, where the server finds its packages. */
const SCRATCH = join(import.meta.dir, "../../../.orderflow");
const TRACING = join(import.meta.dir, "../stages/01/tracing.ts");
const WAIT_MS = 10_000;

await mkdir(SCRATCH, { recursive: true });
const folder = await mkdtemp(join(SCRATCH, "hot-"));
try {
  for (const mode of ["--hot", "--watch"]) await changeWhileItRuns(mode);
} finally {
  await rm(folder, { recursive: true });
}

async function changeWhileItRuns(mode: string): Promise<void> {
  const file = join(folder, `server${mode}.ts`);
  const port = await freePort();
  await Bun.write(file, server("1", port));
  await using child = Bun.spawn([process.execPath, mode, file], { stderr: "pipe" });
  let complaint = "";
  const listening = (async () => {
    for await (const chunk of child.stderr) complaint += Buffer.from(chunk).toString();
  })();

  await until(async () => (await versionAt(port)) !== undefined);
  await Bun.write(file, server("2", port));
  await until(async () => complaint.includes("error:") || (await versionAt(port)) === "2");

  console.log(`bun ${mode} server.ts`);
  console.log(
    "  version 1 was saved, then version 2; there answers version",
    await versionAt(port),
  );
  console.log("  it said:", /error: .*/.exec(complaint)?.[0] ?? "nothing");
  child.kill("SIGKILL");
  await listening;
}

/** As short as a traced server can be. */
function server(version: string, port: number): string {
  return `import { startTracing } from ${JSON.stringify(TRACING)};
startTracing("server");
Bun.serve({ hostname: "127.0.0.1", port: ${port}, fetch: () => new Response("${version}") });
`;
}

async function freePort(): Promise<number> {
  const probe = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const { port = 0 } = probe;
  await probe.stop(true);
  return port;
}

async function versionAt(port: number): Promise<string | undefined> {
  const answer = await fetch(`http://127.0.0.1:${port}/`, { keepalive: false }).catch(() => {});
  return await answer?.text();
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`nothing came of it in ${WAIT_MS} ms`);
    await Bun.sleep(20);
  }
}
