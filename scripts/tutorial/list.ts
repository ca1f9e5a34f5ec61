/** The list of stages, and where the reader stands. */
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { forPeople } from "../shared/terminal.ts";
import { runningParts } from "./parts.ts";
import { standingIn, type Standing } from "./progress.ts";
import { CHAPTER, ROOT, STAGES, type Stage } from "./stages.ts";

const MARKS: Readonly<Record<Standing, string>> = {
  "not begun": " ",
  begun: "·",
  done: "✓",
  "done, then changed": "·",
};
const TITLE_COLUMNS = 18;
const ADDS_COLUMNS = 62;

/** @returns the list, what is running, and what to do next */
export async function stageList(): Promise<string> {
  const standings = STAGES.map((stage) => [stage, standingIn(stage)] as const);
  const rows = standings.map(([{ id, title, adds }, standing]) => {
    const said = standing === "not begun" ? "" : standing;
    const row = `${MARKS[standing]} ${id.padEnd(4)}${title.padEnd(TITLE_COLUMNS)}${adds.padEnd(ADDS_COLUMNS)}${said}`;
    return `  ${row.trimEnd()}`;
  });
  const parts = await runningParts();
  const lines = [
    "Tracing by hand on Bun, from three log lines to one trace.",
    "",
    ...rows,
    "",
    next(standings),
  ];
  if (parts) {
    lines.push(`The viewer is at ${forPeople(parts.queryUrl)}; \`bun run tutorial stop\` ends it.`);
  }
  return lines.join("\n");
}

/** @returns where a stage's page is, from where the command was typed */
export function pageOf(stage: Stage): string {
  return relative(process.cwd(), join(CHAPTER, stage.page)) || stage.page;
}

function next(standings: readonly (readonly [Stage, Standing])[]): string {
  // Who began somewhere in the middle goes on there.
  const last = standings.findLastIndex(([, standing]) => standing !== "not begun");
  const [stage, standing] = standings[Math.max(last, 0)] ?? [];
  const following = standings[last + 1]?.[0];
  if (stage && standing !== "done" && last >= 0) {
    return `Next: ${pageOf(stage)}, then \`bun run tutorial check ${stage.id}\`.`;
  }
  if (!following) return "That was all of it: now one of your own services.";
  const opening = last < 0 && existsSync(join(CHAPTER, "README.md")) ? openingPage() : "";
  return `Next: ${opening}\`bun run tutorial start ${following.id}\`, and read ${pageOf(following)}.`;
}

function openingPage(): string {
  return `${relative(process.cwd(), join(ROOT, "docs/tutorial/README.md"))}, `;
}
