// The documents and the chapter as a site: builds it and serves it on this machine.

import { parseArgs } from "node:util";
import { aborted, Interrupted, interruption } from "./shared/interruption.ts";
import { buildSite, SITE_DIST } from "./docs/build-site.ts";
import { serveFolder } from "./docs/serve-folder.ts";

const USAGE = `usage: bun run docs [--build]

Builds the documents and the chapter as a site, serves it on this machine, and stays
until Ctrl-C. The site's own packages are installed first, into docs/site/.

  --build  only build, into docs/site/.vitepress/dist/
  --help   show this

PORT  where to listen; without it 4173, or any free port where that is taken
`;
const PORT_DEFAULT = 4173;

process.exitCode = await main(process.argv.slice(2));

/** @returns the exit status */
async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (!options) {
    process.stderr.write(USAGE);
    return 2;
  }
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const interrupted = interruption(() => {});
  try {
    await buildSite(interrupted);
    if (options.build) return 0;
    await using site = serveFolder(SITE_DIST, options.port ?? [PORT_DEFAULT, 0]);
    console.log(
      `\n${site.url}  the documents\n${site.url}docs/tutorial/  the chapter\nCtrl-C ends it`,
    );
    await aborted(interrupted);
    return 0;
  } catch (error) {
    if (interrupted.reason instanceof Interrupted) return interrupted.reason.exitStatus;
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

interface Options {
  readonly build: boolean;
  readonly help: boolean;
  /** The only port that will do. */
  readonly port?: readonly [number];
}

function readOptions(args: readonly string[]): Options | undefined {
  const port = process.env["PORT"];
  if (port && !/^\d{1,5}$/.test(port)) return undefined;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        build: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    return { ...values, ...(port && { port: [Number(port)] as const }) };
  } catch {
    return undefined;
  }
}
