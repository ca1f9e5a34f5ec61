/** The default theme, and the lines of a source's page that an address names. */
import DefaultTheme from "vitepress/theme";
import { onMounted, watch } from "vue";
import { useRoute, type Theme } from "vitepress";
import { markLines } from "./mark-lines.ts";
// oxlint-disable-next-line import/no-unassigned-import -- a style sheet has no name
import "./site.css";

export default {
  extends: DefaultTheme,
  setup() {
    const route = useRoute();
    onMounted(() => {
      markLines();
      window.addEventListener("hashchange", markLines);
    });
    watch(() => route.path, markLines, { flush: "post" });
  },
} satisfies Theme;
