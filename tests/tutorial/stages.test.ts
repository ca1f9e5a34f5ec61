/** Every stage's check passes its solution, and tells what is wrong with its bare exercise and with each mistake. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Slots } from "#lib/waiting/slots.ts";
import {
  loadCheck,
  runCheck,
  type CheckOutcome,
  type StageCheck,
  type Verdict,
} from "../../scripts/tutorial/check/index.ts";
import {
  applyEdits,
  loadMistakes,
  type Complaint,
} from "../../scripts/tutorial/mistakes/mistake.ts";
import { regionNames, regionOf } from "../../scripts/tutorial/regions.ts";
import { createScratch } from "../../scripts/tutorial/scratch.ts";
import { rawFiles, solutionFiles, startFiles } from "../../scripts/tutorial/stage-files.ts";
import { pagePath } from "../../scripts/tutorial/pages/page.ts";
import { ROOT, solutionOf, STAGES, type Stage } from "../../scripts/tutorial/stages.ts";
import { startParts, type TestParts } from "../support/tutorial.ts";

const SCRIPTS = join(ROOT, "scripts/tutorial");
/** With the time in which a check waits for its turn. */
const CHECK_TIMEOUT_MS = 600_000;
/** A check mostly waits: for programs to start, for spans that should not come. */
const running = new Slots(4);
const MISTAKES_MIN = 3;

const isIn = (folder: string) => (stage: Stage) =>
  existsSync(join(SCRIPTS, folder, `${stage.id}.ts`));
const hasBoth = (stage: Stage) => isIn("checks")(stage) && isIn("mistakes")(stage);

let parts: TestParts;
beforeAll(async () => {
  parts = await startParts();
}, CHECK_TIMEOUT_MS);
afterAll(async () => await parts[Symbol.asyncDispose]());

test("every stage has a solution, a check and mistakes", () => {
  expect(STAGES.filter((stage) => !existsSync(solutionOf(stage)))).toEqual([]);
  const missing = STAGES.filter((stage) => !hasBoth(stage)).map(({ id }) => id);
  expect(missing).toEqual([]);
});

describe.each(STAGES.map((stage) => [stage.id, stage] as const))("stage %s", (_, stage) => {
  test("has its programs, and whole regions", () => {
    const files = rawFiles(solutionOf(stage));
    for (const name of [...stage.programs.map((program) => `${program}.ts`), "schema.sql"]) {
      expect([...files.keys()]).toContain(name);
    }
    for (const text of files.values()) {
      for (const name of regionNames(text)) expect(regionOf(text, name)).not.toBe("");
    }
    for (const text of solutionFiles(stage).values()) expect(text).not.toMatch(/#(end)?region/);
  });
});

const checked = STAGES.filter(hasBoth);
const stages = await Promise.all(
  checked.map(async (stage) => {
    const [check, { bare, mistakes }] = await Promise.all([loadCheck(stage), loadMistakes(stage)]);
    return { stage, check, bare, mistakes };
  }),
);

describe.each(stages.map((all) => [all.stage.id, all] as const))(
  "the check of stage %s",
  (_, { stage, check, mistakes }) => {
    test("explains each promise in a paragraph of the stage's page", async () => {
      const page = Bun.file(pagePath(stage.page));
      const anchors = (await page.exists()) ? anchorsIn(await page.text()) : [];
      const unknown = check.items.filter(({ anchor }) => !anchors.includes(anchor));
      expect(unknown.map(({ title, anchor }) => `${title}: ${anchor}`)).toEqual([]);
    });

    test(`knows ${MISTAKES_MIN} mistakes or more, each by a name of its own`, () => {
      const names = mistakes.map(({ name }) => name);
      expect(new Set(names).size).toBe(names.length);
      expect(names.length).toBeGreaterThanOrEqual(MISTAKES_MIN);
      expect(names).not.toContain("bare");
    });
  },
);

const ofStage = (stage: Stage) => `the check of stage ${stage.id}`;

test.concurrent.each(stages.map((all) => [ofStage(all.stage), all] as const))(
  "%s passes the solution",
  async (_, { stage, check }) => {
    const { outcome, said } = await judge(stage, solutionFiles(stage), check);
    expect(outcome, said).toBe("passed");
  },
  CHECK_TIMEOUT_MS,
);

test.concurrent.each(stages.map((all) => [ofStage(all.stage), all] as const))(
  "%s says of the bare exercise what is to be done, where there is something",
  async (_, { stage, check, bare }) => {
    const judged = await judge(stage, startFiles(stage), check);
    if (bare) expectComplaint(judged, bare);
    else expect(judged.outcome, judged.said).toBe("passed");
  },
  CHECK_TIMEOUT_MS,
);

const mistakesOfAll = stages.flatMap(({ stage, check, mistakes }) =>
  mistakes.map((mistake) => [ofStage(stage), mistake.about, { stage, check, mistake }] as const),
);

test.concurrent.each(mistakesOfAll)(
  "%s finds the mistake: %s",
  async (_stage, _about, { stage, check, mistake }) => {
    // Its item alone: each judges by itself, whatever the others find.
    const items = check.items.filter(({ title }) => title === mistake.failing);
    expect(items).toHaveLength(1);
    const change = (folder: string) => applyEdits(folder, mistake.edits);
    const judged = await judge(stage, solutionFiles(stage), { ...check, items }, change);
    expectComplaint(judged, mistake);
  },
  CHECK_TIMEOUT_MS,
);

interface Judged {
  readonly outcome: CheckOutcome;
  readonly said: string;
  readonly verdicts: ReadonlyMap<string, Verdict>;
}

async function judge(
  stage: Stage,
  files: ReturnType<typeof solutionFiles>,
  check: StageCheck,
  change: (folder: string) => void = () => {},
): Promise<Judged> {
  await running.acquire(AbortSignal.timeout(CHECK_TIMEOUT_MS));
  using _ = { [Symbol.dispose]: () => running.release() };
  using scratch = createScratch(files);
  change(scratch.folder);
  const said: string[] = [];
  const verdicts = new Map<string, Verdict>();
  const outcome = await runCheck({
    folder: scratch.folder,
    stage,
    parts,
    check,
    forward: false,
    say: (text) => void said.push(text),
    onVerdict: ({ title }, verdict) => void verdicts.set(title, verdict),
  });
  return { outcome, said: said.join("\n"), verdicts };
}

/** The first item that fails is the one that tells of it: the reader begins at the top. */
function expectComplaint({ outcome, said, verdicts }: Judged, { failing, says }: Complaint): void {
  expect(outcome, said).toBe("not done");
  const [first] = [...verdicts].filter(([, { passed }]) => !passed);
  expect(first?.[0], said).toBe(failing);
  expect(`${first?.[1].saw}\n${first?.[1].expected}`).toMatch(says);
}

/** As GitHub names them. */
function anchorsIn(markdown: string): string[] {
  const headings = [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => heading);
  return headings.map((heading) => `#${slugOf(heading)}`);
}

function slugOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M}\p{Pc} -]/gu, "")
    .replaceAll(" ", "-");
}
