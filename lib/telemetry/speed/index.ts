/**
 * All that is only for speed. The folder may be deleted: everything then works as before, at more cost
 * (docs/benchmarks.md says how much each file saves).
 */
export { fixed, fixedSets } from "./fixed-attributes.ts";
export { ids } from "./ids.ts";
export { EMPTY_CONTEXT, LinkedContextManager } from "./linked-context.ts";
export { useOurEncoder } from "./span-exporter.ts";
