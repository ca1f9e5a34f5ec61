/**
 * All that is only for learning: from a span to the line that made it, and to the header that it sent.
 * The folder may be deleted: spans then carry neither.
 */
export { callerLocation } from "./code-location.ts";
export { showInjected } from "./injected.ts";
export { rememberRouteLocations, routeLocation } from "./route-location.ts";
