/** Fills the blocks of the chapter's pages from the stages' files and by runs of them. */
import { parseCommand, UsageError } from "../../shared/command-line.ts";
import { startParts } from "../../../tests/support/tutorial.ts";
import { interruption } from "../../shared/interruption.ts";
import { STAGES } from "../stages.ts";
import { PageError } from "./block.ts";
import { pageNames, pagePath, recordingsOf, withGenerated, type Recorder } from "./page.ts";
import { createRecorder } from "./recording.ts";

const USAGE = `usage: bun scripts/tutorial/pages/index.ts [--check] [--record all|NN,NN] [--print RUN]

Writes listings and differences into the pages of docs/tutorial. A recording is made anew with
--record alone, and written where its shape has changed.

  --check   write nothing; exit status 1 where a page would change
  --record  run what the pages show of these stages
  --print   run one thing as a page names it ("04 --check no-inject"), and print what it shows
  --help    show this
`;

process.exitCode = await main(process.argv.slice(2));

/** @returns the exit status */
async function main(args: string[]): Promise<number> {
  const interrupted = interruption(() => {});
  try {
    const { check, record: recorded, print, help } = optionsIn(args);
    if (help) process.stdout.write(USAGE);
    else if (print !== undefined) await printRun(print, interrupted);
    else return await record(stagesIn(recorded), interrupted, check);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n${USAGE}`);
      return 2;
    }
    throw error;
  }
}

function optionsIn(args: string[]) {
  const { values, positionals } = parseCommand(args, {
    check: { type: "boolean", default: false },
    record: { type: "string", default: "" },
    print: { type: "string" },
    help: { type: "boolean", default: false },
  });
  if (positionals.length > 0) throw new UsageError(`what is ${positionals.join(" ")}?`);
  return values;
}

/** One page's mistake does not hide another's. */
async function fillPages(check: boolean, record?: Recorder): Promise<number> {
  let failed = 0;
  for (const page of pageNames()) {
    try {
      const isWritten = await fillPage(page, check, record);
      if (isWritten) console.log(`${page} ${check ? "is behind" : "written"}`);
      if (isWritten && check) failed += 1;
    } catch (error) {
      if (!(error instanceof PageError)) throw error;
      console.error(error.message);
      failed += 1;
    }
  }
  return failed === 0 ? 0 : 1;
}

/**
 * A run takes its time: where someone has written to the page meanwhile, what they wrote is filled, too. What
 * has run does not run again.
 * @returns whether the page has changed, or would
 */
async function fillPage(page: string, check: boolean, record?: Recorder): Promise<boolean> {
  const file = Bun.file(pagePath(page));
  for (;;) {
    const text = await file.text();
    const filled = await withGenerated(text, page, record);
    if ((await file.text()) !== text) continue;
    if (check) recordingsOf(filled, page);
    else if (filled !== text) await Bun.write(file, filled);
    return filled !== text;
  }
}

/** @param stages "all", ids with commas between them, or "" for none */
function stagesIn(stages: string): readonly string[] {
  if (stages === "") return [];
  const known = STAGES.map(({ id }) => id);
  const ids = stages === "all" ? known : stages.split(",");
  const unknown = ids.find((id) => !known.includes(id));
  if (unknown !== undefined) throw new UsageError(`there is no stage ${unknown}`);
  return ids;
}

/** With parts of its own: what the reader's commands keep running is left alone. */
async function record(ids: readonly string[], signal: AbortSignal, check: boolean) {
  if (ids.length === 0) return await fillPages(check);
  await using parts = await startParts();
  const recorder = createRecorder(parts, signal, (what) => console.log(`running ${what}`));
  return await fillPages(check, async (what) =>
    ids.includes(what.split(" ", 1)[0] ?? "") ? await recorder(what) : undefined,
  );
}

async function printRun(what: string, signal: AbortSignal): Promise<void> {
  await using parts = await startParts();
  const printed = await createRecorder(parts, signal)(what);
  console.log(printed ?? "what it needs is not on this machine");
}
