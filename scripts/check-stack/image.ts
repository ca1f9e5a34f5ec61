/**
 * The Dockerfile without Docker: linted, and its steps done in the same order in a clean folder.
 *
 * What comes out is started the way the image is: the environment that ENV gives and nothing else, on
 * files that cannot be written, with the health check that stands there, and the stop signal. The base
 * image, and what only a container has (its user, its root file system), are not part of it.
 */
import { chmod, cp, mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { freePort } from "#lib/embedded/free-port.ts";
import { neededBy, SERVICE_NAMES, type ServiceName } from "#lib/service/services.ts";
import { dockerIgnore } from "./docker-ignore.ts";
import {
  execForm,
  keyValues,
  parseDockerfile,
  type Instruction,
  type Stage,
} from "./dockerfile.ts";
import { readText, ROOT } from "./files.ts";
import type { Report } from "./report.ts";
import { findTool, missing, run } from "./tools.ts";

/** Entries of the image that need a variable, each with its arguments. */
const NEED_VARIABLES = [
  ...SERVICE_NAMES.filter(needsVariable).map((name) => [`services/${name}/index.ts`]),
  ["scripts/migrate.ts", "up"],
  ["scripts/dead-letters.ts", "list"],
  ["scripts/orders.ts", "list"],
];
const STOP_TIMEOUT_MS = 8_000;
const HEALTHY_TIMEOUT_MS = 20_000;

export async function checkImage(report: Report): Promise<void> {
  await lint(report);

  const { stages } = parseDockerfile(await readText("Dockerfile"));
  // Open for others: who starts as root in here does not stay it.
  const folder = await mkdtemp(join(tmpdir(), "orderflow-image-"));
  await chmod(folder, 0o755);
  try {
    for (const stage of stages) await build(stage, folder, report);
    const image = stages.at(-1);
    if (image) {
      await start(image, join(folder, image.name), report);
      await loadAll(image, join(folder, image.name), report);
    }
  } finally {
    await run(["chmod", "-R", "u+w", folder]);
    await rm(folder, { recursive: true, force: true });
  }
}

async function lint(report: Report): Promise<void> {
  const hadolint = findTool("hadolint");
  if (!hadolint) return report.unproven("Dockerfile, linted", missing("hadolint"));
  const { status, output } = await run([hadolint, "--no-color", "Dockerfile"], { cwd: ROOT });
  if (status === 0 && output.trim() === "") report.ok("Dockerfile: hadolint finds nothing");
  else report.fail("Dockerfile: hadolint", output);
}

/** Does a stage's steps in a folder of its name, and says what each weighs. */
async function build(stage: Stage, folder: string, report: Report): Promise<void> {
  const root = join(folder, stage.name);
  await mkdir(root);
  let workdir = root;
  for (const { name, text, line } of stage.instructions) {
    const what = `Dockerfile:${line} ${name} ${text}`;
    if (name === "WORKDIR") {
      workdir = join(root, text);
      await mkdir(workdir, { recursive: true });
    } else if (name === "COPY") {
      report.ok(`${what} (${megabytes(await copy(text, { folder, workdir }))})`);
    } else if (name === "RUN") {
      const before = await sizeOf(root);
      const { status, output } = await run(["sh", "-c", text], { cwd: workdir });
      if (status !== 0) throw new Error(`${what}\n${output}`);
      report.ok(`${what} (${megabytes((await sizeOf(root)) - before)})`);
    }
  }
}

/** @returns the bytes that were copied */
async function copy(
  text: string,
  { folder, workdir }: { folder: string; workdir: string },
): Promise<number> {
  const words = text.split(/\s+/);
  const stage = words[0]?.startsWith("--from=")
    ? words.shift()?.slice("--from=".length)
    : undefined;
  const target = join(workdir, words.pop() ?? ".");
  const isIgnored = stage ? () => false : dockerIgnore(await readText(".dockerignore"));
  let bytes = 0;
  for (const word of words) {
    const source = stage ? join(folder, stage, word) : join(ROOT, word);
    const isFolder = (await stat(source)).isDirectory();
    // As COPY does: a folder's contents go to the target, a file goes into it.
    for (const path of isFolder ? await filesUnder(source) : [source]) {
      if (isIgnored(relative(ROOT, path))) continue;
      const to = isFolder
        ? join(target, relative(source, path))
        : join(target, relative(dirname(source), path));
      await mkdir(dirname(to), { recursive: true });
      await cp(path, to, { verbatimSymlinks: true });
      bytes += Bun.file(to).size;
    }
  }
  return bytes;
}

/** Starts one service as the image's CMD does, asks its health check, and stops it. */
async function start(image: Stage, root: string, report: Report): Promise<void> {
  const last = (name: string) => image.instructions.findLast((one) => one.name === name);
  const workdir = join(root, last("WORKDIR")?.text ?? "/");
  const command = execForm(last("CMD")?.text ?? "") ?? [];
  const env = {
    ...environmentOf(image.instructions),
    PATH: `${await reachableBun(dirname(root))}:/usr/bin:/bin`,
    HOME: "/nonexistent",
    HOST: "127.0.0.1", // in a container it is 0.0.0.0; nobody else has to reach this one
    SERVICE: "email",
    PORT: String(freePort()),
    OTEL_SDK_DISABLED: "true",
  };
  await run(["chmod", "-R", "a-w,a+rX", root]);
  const asUser = process.getuid?.() === 0 && Bun.which("setpriv") ? ordinaryUser(last("USER")) : [];

  const service = Bun.spawn([...asUser, ...command], {
    cwd: workdir,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  try {
    const health = execForm(last("HEALTHCHECK")?.text.replace(/^.*?CMD /, "") ?? "") ?? [];
    const whenMs = performance.now() + HEALTHY_TIMEOUT_MS;
    let status = 1;
    while (status !== 0 && service.exitCode === null && performance.now() < whenMs) {
      ({ status } = await run([...asUser, ...health], { cwd: workdir, env }));
    }
    const as = asUser.length > 0 ? `as user ${last("USER")?.text}, ` : "";
    if (status === 0)
      report.ok(`${as}on read-only files: CMD starts, and HEALTHCHECK says healthy`);
    else return report.fail("CMD and HEALTHCHECK", "the service did not become healthy");

    const wrong = await run([...asUser, ...health], { cwd: workdir, env: { ...env, PORT: "1" } });
    if (wrong.status !== 0) report.ok("HEALTHCHECK says unhealthy where nothing listens");
    else report.fail("HEALTHCHECK", "says healthy where nothing listens");

    const signal = (last("STOPSIGNAL")?.text ?? "SIGTERM") as NodeJS.Signals;
    const stopMs = performance.now();
    service.kill(signal);
    const exited = await Promise.race([service.exited, Bun.sleep(STOP_TIMEOUT_MS)]);
    const tookMs = Math.round(performance.now() - stopMs);
    if (exited === 0) report.ok(`${signal} ends it with status 0 (${tookMs} ms)`);
    else report.fail(signal, `status ${exited ?? "none"} after ${tookMs} ms`);
  } finally {
    service.kill("SIGKILL");
    await service.exited;
  }
}

/**
 * Starts the rest without what it needs. It says which variable it lacks, which it can only do once
 * all its modules are loaded: nothing is missing in the image.
 */
async function loadAll(image: Stage, root: string, report: Report): Promise<void> {
  const workdir = join(root, image.instructions.find((one) => one.name === "WORKDIR")?.text ?? "/");
  for (const [path = "", ...args] of NEED_VARIABLES) {
    const { status, output } = await run([process.execPath, path, ...args], {
      cwd: workdir,
      env: { PATH: "/usr/bin:/bin" },
    });
    const named = /\b[A-Z]+_[A-Z_]+ is (?:required and not set|not set|missing)/.exec(output)?.[0];
    if (status !== 0 && named) report.ok(`${path} loads: "${named}"`);
    else report.fail(path, output);
  }
}

function needsVariable(name: ServiceName): boolean {
  return Object.keys(neededBy(name, { postgres: String, kafka: String, url: String })).length > 0;
}

/**
 * A copy of this Bun: the image's user need not be let into the folder in which it lies.
 * @returns the copy's folder
 */
async function reachableBun(folder: string): Promise<string> {
  const bin = join(folder, "bin");
  await mkdir(bin);
  await cp(process.execPath, join(bin, "bun"), { dereference: true });
  return bin;
}

/** Root may write what is read-only; the image's user may not, and nor may this one. */
function ordinaryUser(user: Instruction | undefined): string[] {
  const id = user?.text ?? "65534";
  return ["setpriv", `--reuid=${id}`, `--regid=${id}`, "--clear-groups", "--no-new-privs"];
}

function environmentOf(instructions: readonly Instruction[]): Record<string, string> {
  return Object.assign(
    {},
    ...instructions.filter(({ name }) => name === "ENV").map(({ text }) => keyValues(text)),
  );
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
}

async function sizeOf(folder: string): Promise<number> {
  const files = await filesUnder(folder);
  return files.reduce((sum, path) => sum + Bun.file(path).size, 0);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
