import { describe, expect, test } from "bun:test";
import { blocksOf, codeIn, fenced, withContents } from "./block.ts";

const PAGE = `# A page

<!-- listing: 01/tracing.ts#provider -->

old

<!-- end -->

1. In a list:

   <!-- diff: 02 orders.ts -->
   <!-- end -->

Text.
`;

describe("blocks of a page", () => {
  test("are found with what they are of, where they stand and what is in them", () => {
    expect(blocksOf(PAGE, "p.md")).toEqual([
      { kind: "listing", what: "01/tracing.ts#provider", line: 3, indent: "", content: "old" },
      { kind: "diff", what: "02 orders.ts", line: 11, indent: "   ", content: "" },
    ]);
  });

  test("are filled, in a list as far in as its item, and nothing else is touched", async () => {
    const filled = await withContents(PAGE, "p.md", ({ what }) => `${what}\n\nmore`);
    expect(filled).toBe(`# A page

<!-- listing: 01/tracing.ts#provider -->

01/tracing.ts#provider

more

<!-- end -->

1. In a list:

   <!-- diff: 02 orders.ts -->

   02 orders.ts

   more

   <!-- end -->

Text.
`);
    expect(await withContents(filled, "p.md", ({ content }) => content)).toBe(filled);
  });

  test.each([
    ["<!-- listing: a -->\n", "p.md:1: listing: a does not end"],
    ["\n<!-- listing: a -->\n<!-- diff: b -->\n<!-- end -->\n", "p.md:2: listing: a does not end"],
    ["<!-- listning: a -->\n<!-- end -->\n", "p.md:2: an end without a beginning"],
  ])("with marks that do not belong together are refused: %p", (text, message) => {
    expect(() => blocksOf(text, "p.md")).toThrow(message);
  });

  test("that cannot be filled are named with page and line", async () => {
    const failing = withContents(PAGE, "p.md", ({ kind }) => {
      if (kind === "diff") throw new Error("nothing differs");
      return "";
    });
    await expect(failing).rejects.toThrow("p.md:11: diff: 02 orders.ts: nothing differs");
  });
});

test("a fence is not ended by one in the code", () => {
  const code = "/**\n * ```ts\n * f();\n * ```\n */";
  const inMarkdown = "```md\n````\n```";
  expect(fenced("ts [a.ts]", code)).toBe(`\`\`\`ts [a.ts]\n${code}\n\`\`\``);
  expect(fenced("text", inMarkdown)).toStartWith("`````text\n");
  expect(codeIn(fenced("text", inMarkdown))).toBe(inMarkdown);
  expect(codeIn("no code")).toBeUndefined();
});
