/**
 * All that is only for learning: from a span to the line that made it, to the header that it sent, and to
 * the page that shows it while it is still under way. The folder may be deleted: spans then have none of it.
 */
export {
  callerLocation,
  codeLocationEnabled,
  preferCallersIn,
  rememberLine,
} from "./code-location.ts";
export { showInjected } from "./injected.ts";
export { openSpans } from "./open-spans.ts";
export { lineOfRoute, locationOfKey, rememberRoutes } from "./route-location.ts";
