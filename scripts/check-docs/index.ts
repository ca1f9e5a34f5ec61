/** Says what is wrong in the Markdown files: `bun scripts/check-docs/index.ts`. */
import { ROOT } from "../tutorial/stages.ts";
import { checkPages } from "./check-pages.ts";
import { problemLine } from "./problem.ts";
import { openRepository } from "./repository.ts";
import { brokenStageAnchors } from "./stage-anchors.ts";

const repository = openRepository(ROOT);
const problems = [...checkPages(repository), ...(await brokenStageAnchors(repository))];
for (const problem of problems) console.error(problemLine(problem));
process.exitCode = problems.length === 0 ? 0 : 1;
