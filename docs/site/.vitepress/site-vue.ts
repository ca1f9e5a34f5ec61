/** Pages find Vue in the site's packages: they stand outside its folder, where no Vue is. */
import { fileURLToPath } from "node:url";
import type { UserConfig } from "vitepress";

type Plugin = NonNullable<NonNullable<NonNullable<UserConfig["vite"]>["plugins"]>[number]>;

const HERE = fileURLToPath(import.meta.url);

export function siteVue(): Plugin {
  return {
    name: "orderflow:site-vue",
    enforce: "pre",
    resolveId(id, importer) {
      if (!/^vue(?:\/|$)/.test(id) || !importer?.endsWith(".md")) return;
      return this.resolve(id, HERE, { skipSelf: true });
    },
  };
}
