/** A page for every file of the repository that a document links to. */
import type { SourcePage } from "../../../scripts/docs/site-plan.ts";

// Loaded by Bun itself, not bundled with this file: see ../.vitepress/config.ts.
const { planSite } = await import(
  new URL("../../../scripts/docs/site-plan.ts", import.meta.url).href
);

export default {
  paths: () =>
    planSite().sources.map(({ path, content }: SourcePage) => ({
      params: { file: path.endsWith("/") ? `${path}index` : path },
      content,
    })),
};
