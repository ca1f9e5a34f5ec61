/** `bun run tutorial`: the chapter's stages, run, laid out, judged and shown. */
import { parseCommand, UsageError } from "../shared/command-line.ts";
import { Interrupted } from "../shared/interruption.ts";
import { obey, Refusal, STATUS } from "./commands.ts";
import { STAGES } from "./stages.ts";
import { ReaderError } from "./system/index.ts";

const USAGE = `usage: bun run tutorial                          the stages, and where you stand
       bun run tutorial NN [--mine] [--stay]    runs a stage, places an order, draws its trace
       bun run tutorial start NN                lays the stage's exercise out for you
       bun run tutorial check NN [--solution]   judges your files
       bun run tutorial hint NN                 the next of three hints, then the solution
       bun run tutorial diff NN [--mine]        what the stage adds to the one before
       bun run tutorial stop                    ends PostgreSQL and the viewer

  NN          ${STAGES.map(({ id }) => id).join(", ")}
  --mine      your files in place of the solution; with diff: from yours to the solution
  --stay      until Ctrl-C, so that you can send requests of your own
  --solution  the solution in place of your files
  --help      show this

Exit status: 0, 1 where your exercise is not done yet or something is in the way, 2 for a
command that is not known, 3 where the tool broke.
`;

// A reader that went away, as in `… | head`, is no reason to leave programs behind.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
// What keeps the parts alive would keep this process as well.
process.exit(await main(process.argv.slice(2)));

/** @returns the exit status */
async function main(args: string[]): Promise<number> {
  try {
    const flag = { type: "boolean", default: false } as const;
    const options = { mine: flag, stay: flag, solution: flag, help: flag };
    const { values, positionals } = parseCommand(args, options);
    const { help, ...flags } = values;
    if (!help) return await obey(positionals, flags);
    process.stdout.write(USAGE);
    return 0;
  } catch (error) {
    if (error instanceof Interrupted) return error.exitStatus;
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n\n${USAGE}`);
      return STATUS.usage;
    }
    if (error instanceof Refusal || error instanceof ReaderError) {
      process.stderr.write(`${error.message}\n`);
      return STATUS.notDone;
    }
    process.stderr.write(`the tool broke: ${Bun.inspect(error)}\n`);
    return STATUS.broke;
  }
}
