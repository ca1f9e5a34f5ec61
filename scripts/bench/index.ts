// The benchmarks: bun run bench overhead | flow | versions | hanging | sizes | viewer, and profile to read what they recorded.
// What they measure is told in docs/benchmarks.md.
import { benchFlow } from "./flow.ts";
import { benchHanging } from "./hanging.ts";
import { benchOverhead } from "./overhead.ts";
import { showProfiles } from "./profile.ts";
import { benchSizes } from "./sizes.ts";
import { benchVersions } from "./versions.ts";
import { benchViewer } from "./viewer.ts";

const USAGE = `usage: bun run bench overhead [--rounds N] [--ms N] [--only ID,ID] [--peers] [--steps] [--profile FOLDER]
       bun run bench flow [--rounds N] [--seconds N] [--warm-up SECONDS] [--large] [--profile FOLDER]
       bun run bench versions FOLDER [--rounds N] [--seconds N] [--orders N] [--off]
       bun run bench hanging [--rounds N] [--seconds N]
       bun run bench sizes [--orders N]
       bun run bench viewer [--rounds N]
       bun run bench profile FILE.cpuprofile…`;

const [name, ...rest] = process.argv.slice(2);
try {
  if (name === "overhead") await benchOverhead(rest);
  else if (name === "flow") await benchFlow(rest);
  else if (name === "versions") await benchVersions(rest);
  else if (name === "hanging") await benchHanging(rest);
  else if (name === "sizes") await benchSizes(rest);
  else if (name === "viewer") await benchViewer(rest);
  else if (name === "profile") await showProfiles(rest);
  else {
    console.error(USAGE);
    process.exitCode = 2;
  }
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
