/** docs/configuration.md says what the configuration code does. */
import { expect, test } from "bun:test";
import { CONFIG_DOCS_FILE, configurationDocs } from "../scripts/config-docs.ts";

test("the file is as the code has it (else: bun scripts/config-docs.ts)", async () => {
  const written = await Bun.file(CONFIG_DOCS_FILE).text();
  expect(withoutWidths(written)).toBe(withoutWidths(configurationDocs()));
});

/** The formatter aligns tables. */
function withoutWidths(text: string): string {
  return text.replaceAll(/-{3,}/g, "---").replaceAll(/ +/g, " ");
}
