// What bun run bench overhead compares: ways to trace one route, each with the bare route it is held against.
import { SPEED_PARTS } from "#lib/telemetry/optional.ts";
import type { Instrumentation } from "./overhead-server.ts";

export interface Variant {
  /** As in --only. */
  id: string;
  name: string;
  /** The id of the bare route of the same framework, which is its own. @default "bare" */
  base?: string;
  /** How overhead-server.ts instruments, or what peers/server.mjs takes as arguments. */
  server: Instrumentation | NodePeer;
  env?: Record<string, string>;
  /** Headers of each request. */
  headers?: Record<string, string>;
}

/** A framework on Node, and how it is instrumented. */
export interface NodePeer {
  framework: "express" | "fastify";
  /** `auto-plugin`: the framework's own plugin as well, where the auto-instrumentations lack one. */
  instrumentation: "none" | "auto" | "auto-plugin";
}

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const SAMPLED_PARENT = { traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01` };
const UNSAMPLED_PARENT = { traceparent: `00-${TRACE_ID}-b7ad6b7169203331-00` };

const OURS: readonly Variant[] = [
  { id: "bare", name: "bare", server: "none" },
  { id: "layer", name: "our layer", server: "layer" },
  {
    id: "sdk-tracer",
    name: "our layer, the SDK's tracer",
    server: "layer-sdk-tracer",
  },
  {
    id: "plain",
    name: "our layer, plain path",
    server: "layer",
    env: { ORDERFLOW_TELEMETRY_SPEED: "off" },
  },
  {
    id: "sampled-parent",
    name: "our layer, sampled parent",
    server: "layer",
    headers: SAMPLED_PARENT,
  },
  {
    id: "one-percent",
    name: "our layer, 1 % sampled",
    server: "layer",
    env: { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.01" },
  },
  {
    id: "unsampled-parent",
    name: "our layer, unsampled parent",
    server: "layer",
    headers: UNSAMPLED_PARENT,
  },
  {
    id: "unsampled-plain",
    name: "our layer, unsampled parent, plain path",
    server: "layer",
    env: { ORDERFLOW_TELEMETRY_SPEED: "off" },
    headers: UNSAMPLED_PARENT,
  },
  {
    id: "disabled",
    name: "our layer, OTEL_SDK_DISABLED",
    server: "layer",
    env: { OTEL_SDK_DISABLED: "true" },
  },
  { id: "stock", name: "stock SDK by hand, no metrics", server: "stock" },
  {
    id: "plugin",
    name: "@elysiajs/opentelemetry",
    server: "layer",
    env: { HTTP_INSTRUMENTATION: "elysia" },
  },
];

/** From the plain path to the whole layer: one part of lib/telemetry/speed/ more each. */
const STEPS: readonly Variant[] = Object.keys(SPEED_PARTS).map((part, index, parts) => {
  const env = { ORDERFLOW_TELEMETRY_SPEED: parts.slice(0, index + 1).join(",") };
  return { id: `with-${part}`, name: `and ${part}`, server: "layer", env };
});

/** Node's spans cost what they cost beside Node's own bare route: Elysia's would say more of Bun than of tracing. */
const PEERS: readonly Variant[] = [
  {
    id: "node-express",
    name: "Node Express, bare",
    base: "node-express",
    server: { framework: "express", instrumentation: "none" },
  },
  {
    id: "node-express-auto",
    name: "Node Express, auto-instrumentations",
    base: "node-express",
    server: { framework: "express", instrumentation: "auto" },
  },
  {
    id: "node-fastify",
    name: "Node Fastify, bare",
    base: "node-fastify",
    server: { framework: "fastify", instrumentation: "none" },
  },
  {
    id: "node-fastify-auto",
    name: "Node Fastify, auto-instrumentations",
    base: "node-fastify",
    server: { framework: "fastify", instrumentation: "auto" },
  },
  {
    id: "node-fastify-plugin",
    name: "Node Fastify, the same and @fastify/otel",
    base: "node-fastify",
    server: { framework: "fastify", instrumentation: "auto-plugin" },
  },
];

const ALL = [...OURS, ...STEPS, ...PEERS];

/**
 * The variants to measure, each with the bare one that it is compared with.
 * @param only ids with commas between; none means all that need no Node
 * @param sets which others take part, whatever `only` names: those on Node; the plain path and each
 *   part of speed/ that is added to it
 * @throws Error that lists the ids, for one which is not known
 */
export function chooseVariants(
  only: string | undefined,
  sets: { peers?: boolean | undefined; steps?: boolean | undefined } = {},
): readonly Variant[] {
  const usual = sets.steps ? ["bare", "plain"] : OURS.map(({ id }) => id);
  const ids = new Set(only?.split(",") ?? usual);
  for (const id of ids) {
    if (ALL.some((variant) => variant.id === id)) continue;
    throw new Error(`--only takes ${ALL.map((variant) => variant.id).join(", ")}`);
  }
  for (const { id } of sets.peers ? PEERS : []) ids.add(id);
  for (const { id } of sets.steps ? STEPS : []) ids.add(id);
  const bases = new Set(ALL.filter(({ id }) => ids.has(id)).map(baseOf));
  return ALL.filter(({ id }) => ids.has(id) || bases.has(id));
}

/** The id of the variant that it is compared with. */
export function baseOf({ base = "bare" }: Variant): string {
  return base;
}

/** Whether it runs on Node. */
export function isPeer({ server }: Variant): boolean {
  return typeof server === "object";
}
