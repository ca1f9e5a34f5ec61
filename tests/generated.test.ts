/** What is written into files that cannot read the code is as the code has it. */
import { join } from "node:path";
import { expect, test } from "bun:test";
import { ROOT } from "../scripts/check-stack/files.ts";
import { GENERATED } from "../scripts/generate/index.ts";

test.each([...GENERATED])("%s (else: bun run generate)", async (path, render) => {
  const file = Bun.file(join(ROOT, path));
  const text = (await file.exists()) ? await file.text() : "";
  expect(await render(text)).toBe(text);
});
