/** The tutorial's checks name paragraphs of the pages: those have to be there. */
import { loadCheck, type StageCheck } from "../tutorial/check/index.ts";
import { STAGES, type Stage } from "../tutorial/stages.ts";
import { parseMarkdown } from "./markdown-page.ts";
import type { Problem } from "./problem.ts";
import type { Repository } from "./repository.ts";

/**
 * @param stages those whose checks are looked at
 * @param load what judges a stage
 */
export async function brokenStageAnchors(
  repository: Repository,
  stages: readonly Stage[] = STAGES,
  load: (stage: Stage) => Promise<StageCheck> = loadCheck,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const stage of stages) {
    const page = `docs/tutorial/${stage.page}`;
    if (!repository.files.has(page)) {
      problems.push({ page, line: 1, text: `stage ${stage.id} has no page` });
      continue;
    }
    const { anchors } = parseMarkdown(repository.read(page));
    for (const { title, anchor } of (await load(stage)).items) {
      if (anchor.startsWith("#") && anchors.has(anchor.slice(1))) continue;
      problems.push({
        page,
        line: 1,
        text: `the check "${title}" names ${anchor}, which is no heading`,
      });
    }
  }
  return problems;
}
