// What the peers on Node need: Node itself, and packages that are no dependencies of this project. They stand
// in peers/package.json with a lockfile of their own, and are installed when somebody asks for them.
import { join } from "node:path";
import type { NodePeer } from "./overhead-variants.ts";

const FOLDER = join(import.meta.dir, "peers");
/** The oldest major version that the packages in peers/package.json run on. */
const NODE_MAJOR_MIN = 20;

/**
 * Looks for Node and installs what is missing.
 * @returns Node's version as it says it, `v20.20.2`
 * @throws Error that says in a line what cannot be had
 */
export async function prepareNodePeers(): Promise<string> {
  const version = Bun.which("node") && (await run(["node", "--version"])).stdout.trim();
  if (!version || !isNodeSupported(version)) {
    const found = version ? `"node" is ${version}` : 'there is no "node"';
    throw new Error(`the peers need Node ${NODE_MAJOR_MIN} or newer, and ${found}`);
  }
  // Takes half a second where everything is there already.
  const install = [process.execPath, "install", "--frozen-lockfile", "--ignore-scripts"];
  const { exitCode, stderr } = await run(install);
  if (exitCode !== 0) throw new Error(`the peers' packages were not installed:\n${stderr.trim()}`);
  return version;
}

/** The command line of a peer's server. @param nodeFlags what Node itself is to be told */
export function peerCommand(
  { framework, instrumentation }: NodePeer,
  nodeFlags: readonly string[],
): string[] {
  return ["node", ...nodeFlags, join(FOLDER, "server.mjs"), framework, instrumentation];
}

/** @param version as `node --version` prints it */
export function isNodeSupported(version: string): boolean {
  return Number(/^v(\d+)\./.exec(version)?.[1]) >= NODE_MAJOR_MIN;
}

async function run(command: string[]) {
  const child = Bun.spawn(command, {
    cwd: FOLDER,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { stdout, stderr, exitCode: await child.exited };
}
