/**
 * All that is only for learning: from a span to the line that made it, and to the header that it sent.
 * The folder may be deleted: spans then carry neither.
 */
export {
  callerLocation,
  codeLocationEnabled,
  preferCallersIn,
  rememberLine,
} from "./code-location.ts";
export { showInjected } from "./injected.ts";
export { lineOfRoute, locationOfKey, rememberRoutes } from "./route-location.ts";
