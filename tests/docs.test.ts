/** The documents name what is there: files, headings, lines, commands. */
import { describe, expect, test } from "bun:test";
import { checkPages } from "../scripts/check-docs/check-pages.ts";
import { parseMarkdown } from "../scripts/check-docs/markdown-page.ts";
import { problemLine } from "../scripts/check-docs/problem.ts";
import { openRepository, repositoryOf } from "../scripts/check-docs/repository.ts";
import { brokenStageAnchors } from "../scripts/check-docs/stage-anchors.ts";
import { ROOT, type Stage } from "../scripts/tutorial/stages.ts";

const repository = openRepository(ROOT);
/** All pages at once, on a machine that is busy. */
const ALL_PAGES_TIMEOUT_MS = 60_000;

test(
  "every link, path and command of every Markdown file leads somewhere",
  () => {
    expect(repository.files.has("README.md")).toBe(true);
    expect(checkPages(repository).map(problemLine)).toEqual([]);
  },
  ALL_PAGES_TIMEOUT_MS,
);

test(
  "every paragraph that the tutorial's checks name is a heading of the stage's page",
  async () => {
    expect((await brokenStageAnchors(repository)).map(problemLine)).toEqual([]);
  },
  ALL_PAGES_TIMEOUT_MS,
);

const FILES: Readonly<Record<string, string>> = {
  "package.json": '{"scripts": {"demo": "bun scripts/demo.ts"}}',
  Makefile: "demo-once demo:\n\tbun run demo\n",
  "scripts/demo.ts": "one\ntwo\nthree\n",
  "lib/kafka/topics.ts": "one\n",
  "tests/flow.test.ts": "",
  "docs/other.md":
    "# Other\n\n## Names & `routes`\n\n## Twice\n\n## Twice\n\n<a id='quoted'></a>\n",
};

/** @returns what is wrong with a page docs/page.md of that text, in a repository of the files above */
function problemsOf(text: string): string[] {
  const files: Record<string, string> = { ...FILES, "docs/page.md": text };
  return checkPages(repositoryOf(Object.keys(files), (path) => files[path]!)).map(problemLine);
}

const shell = (...lines: string[]) => `${["```sh", ...lines, "```"].join("\n")}\n`;

describe("a link", () => {
  test.each([
    ["to a file", "[a](../scripts/demo.ts)"],
    ["to a line", "[a](../scripts/demo.ts#L3)"],
    ["to lines", "[a](../scripts/demo.ts#L1-L3)"],
    ["to a folder", "[a](../lib/kafka) [b](../lib/kafka/)"],
    ["to a page's heading, as GitHub calls it", "[a](other.md#names--routes)"],
    ["to the second heading of a name", "[a](other.md#twice-1)"],
    ["to an id in HTML", "[a](other.md#quoted)"],
    ["to a heading of its own page", "# Here\n\n[a](#here)"],
    ["from the root", "[a](/scripts/demo.ts)"],
    ["to another site", "[a](https://example.com/none) <mailto:nobody@example.com>"],
    ["that is only shown", "`[a](none.md)`\n\n```md\n[a](none.md)\n```"],
  ])("%s is fine", (_, text) => {
    expect(problemsOf(text)).toEqual([]);
  });

  test.each([
    ["to no file", "[a](none.md)", "1: none.md: there is no docs/none.md"],
    ["in another case", "[a](Other.md)", "1: Other.md: there is no docs/Other.md"],
    [
      "to no heading",
      "[a](other.md#nothing)",
      "1: other.md#nothing: docs/other.md has no heading #nothing",
    ],
    [
      "to no heading of its own",
      "\n[a](#nothing)",
      "2: #nothing: docs/page.md has no heading #nothing",
    ],
    [
      "to a third of two",
      "[a](other.md#twice-2)",
      "1: other.md#twice-2: docs/other.md has no heading #twice-2",
    ],
    [
      "to a line behind the end",
      "[a](../scripts/demo.ts#L4)",
      "1: scripts/demo.ts has 3 lines, not 4",
    ],
    [
      "to lines beyond the end",
      "[a](../scripts/demo.ts#L2-L9)",
      "1: scripts/demo.ts has 3 lines, not 2 to 9",
    ],
    [
      "to a heading of no page",
      "[a](../scripts/demo.ts#demo)",
      "1: ../scripts/demo.ts#demo: #demo names no line",
    ],
    ["to a heading of a folder", "[a](../lib#a)", "1: ../lib#a: a folder has no #a"],
    ["above the root", "[a](../../other.md)", "1: ../../other.md leads out of the repository"],
    ["of a reference", "[a][b]\n\n[b]: none.md", "3: none.md: there is no docs/none.md"],
    [
      "of an image",
      "![a](images/none.png)",
      "1: images/none.png: there is no docs/images/none.png",
    ],
    ["in HTML", '<img alt="" src="none.png">', "1: none.png: there is no docs/none.png"],
    ["in a table", "| a |\n| - |\n| [a](none.md) |", "3: none.md: there is no docs/none.md"],
  ])("%s is found", (_, text, problem) => {
    expect(problemsOf(text)).toEqual([`docs/page.md:${problem}`]);
  });
});

describe("a path in a sentence", () => {
  test.each([
    ["from the root", "`lib/kafka/topics.ts`"],
    ["by its end", "`kafka/topics.ts` `topics.ts`"],
    ["with a line", "`lib/kafka/topics.ts:1`"],
    ["of a folder", "`lib/kafka/`"],
    ["of several", "`lib/kafka/*.ts` `*.test.ts`"],
    ["that stands for others", "`docs/tutorial/NN-name.md`"],
    ["that a command makes", "`.orderflow/tutorial/03/tracing.ts`"],
    ["from where the reader is", "`./src/tracing/index.ts`"],
    ["that is none", "`application/json` `@opentelemetry/api` `process.env` `and/or`"],
  ])("%s is fine", (_, text) => {
    expect(problemsOf(text)).toEqual([]);
  });

  test.each([
    ["of no file", "`lib/kafka/topic.ts`", "`lib/kafka/topic.ts`: there is no lib/kafka/topic.ts"],
    ["of no folder", "`lib/sql`", "`lib/sql`: there is no lib/sql"],
    ["by no file's end", "`afka/topics.ts`", "`afka/topics.ts`: there is no afka/topics.ts"],
    ["of one part", "`topic.ts`", "`topic.ts`: there is no topic.ts"],
    ["of none of several", "`lib/kafka/*.sql`", "`lib/kafka/*.sql`: there is no lib/kafka/*.sql"],
    [
      "with a line behind the end",
      "`lib/kafka/topics.ts:2`",
      "lib/kafka/topics.ts has 1 lines, not 2",
    ],
  ])("%s is found", (_, text, problem) => {
    expect(problemsOf(text)).toEqual([`docs/page.md:1: ${problem}`]);
  });
});

describe("a command", () => {
  test.each([
    ["of a script", shell("bun run demo --once    # bun run none")],
    ["with npx", shell("npx -y bun@1.4.5 run demo")],
    ["of a file", shell("bun scripts/demo.ts", "PORT=1 bun --no-orphans run scripts/demo.ts")],
    ["of a test", shell("bun test tests/flow.test.ts -t none", "bun test tests")],
    ["in a folder", shell("cd scripts && bun ./demo.ts")],
    ["in the reader's folder", shell("cd ~/mine", "bun run none")],
    ["on the reader's file", shell("bun --hot server.ts")],
    ["of make", shell("make demo")],
    ["that is no shell's", "```text\nbun run none\n```"],
  ])("%s is fine", (_, text) => {
    expect(problemsOf(text)).toEqual([]);
  });

  test.each([
    ["of no script", shell("bun run none"), "2: bun run none: package.json has no script none"],
    [
      "of no script with npx",
      shell("", "npx -y bun@1.4.5 run none"),
      "3: bun run none: package.json has no script none",
    ],
    [
      "behind another",
      shell("bun install && bun run none"),
      "2: bun run none: package.json has no script none",
    ],
    ["in a sentence", "`bun run none --all`", "1: bun run none: package.json has no script none"],
    [
      "of no file",
      shell("bun scripts/none.ts"),
      "2: bun scripts/none.ts: there is no scripts/none.ts",
    ],
    [
      "of no file in a folder",
      shell("cd scripts", "bun run ../none/x.ts"),
      "3: bun ../none/x.ts: there is no none/x.ts",
    ],
    [
      "of no test",
      shell("bun test tests/none.test.ts"),
      "2: bun test tests/none.test.ts: no test's path has tests/none.test.ts",
    ],
    ["of make", "`make none`", "1: make none: the Makefile has no none"],
  ])("%s is found", (_, text, problem) => {
    expect(problemsOf(text)).toEqual([`docs/page.md:${problem}`]);
  });
});

describe("a check of the tutorial", () => {
  const stage: Stage = { id: "01", title: "", page: "01.md", adds: "", programs: [] };
  const anchorsOf = (files: Record<string, string>, anchor: string) =>
    brokenStageAnchors(
      repositoryOf(Object.keys(files), (path) => files[path]!),
      [stage],
      async () => ({
        hints: ["", "", ""],
        items: [
          {
            title: "a promise",
            anchor,
            judge: async () => ({ passed: true, did: "", saw: "", expected: "" }),
          },
        ],
      }),
    );
  const page = { "docs/tutorial/01.md": "# 01\n\n## An end\n" };

  test("that names a heading is fine", async () => {
    expect(await anchorsOf(page, "#an-end")).toEqual([]);
  });

  test("that names none is found", async () => {
    expect((await anchorsOf(page, "#the-end")).map(problemLine)).toEqual([
      'docs/tutorial/01.md:1: the check "a promise" names #the-end, which is no heading',
    ]);
  });

  test("whose page is not there is found", async () => {
    expect((await anchorsOf({}, "#an-end")).map(problemLine)).toEqual([
      "docs/tutorial/01.md:1: stage 01 has no page",
    ]);
  });
});

test("the code of a page knows its line, also in a list", () => {
  const { fences, inlineCode } = parseMarkdown("- a `b`\n\n  ```sh\n  one\n  two\n  ```\n");
  expect(inlineCode).toEqual([{ text: "b", language: undefined, line: 1 }]);
  expect(fences).toEqual([{ text: "one\ntwo", language: "sh", line: 4 }]);
});
