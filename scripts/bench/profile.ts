// bun run bench profile FILE…: where a process's time goes, by part, from .cpuprofile files.
import { percent } from "../shared/figures.ts";
import { figuresTable } from "../shared/markdown-table.ts";

/** @see https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile */
interface CpuProfile {
  nodes: {
    id: number;
    callFrame: { functionName: string; url: string };
    children?: number[];
  }[];
  /** The node that ran at each sample. */
  samples: number[];
}

/**
 * Parts and what stands in the path of their files, the most telling first: a sample belongs to the
 * first part that has a frame anywhere on its stack.
 */
const PARTS: readonly (readonly [part: string, files: readonly string[]])[] = [
  ["starting up", ["(module)", "bound require"]],
  ["encoding spans", ["speed/span-encoder", "speed/attribute-encoder", "otlp-transformer/"]],
  ["sending spans", ["speed/block-sender", "otlp-exporter-base/", "BatchSpanProcessor"]],
  ["metrics: SDK", ["sdk-metrics/"]],
  ["spans: ours", ["speed/"]],
  ["spans: SDK", ["sdk-trace/", "setup/precise-start", "setup/clock"]],
  ["propagation", ["telemetry/propagation", "W3CTraceContext", "W3CBaggage"]],
  ["passing context on", ["api/build/src/context", "api/build/src/api/context"]],
  ["our layer", ["lib/telemetry/"]],
];

/** @param files at least one; each gets a table */
export async function showProfiles(files: readonly string[]): Promise<void> {
  if (files.length === 0) throw new Error("which .cpuprofile file?");
  for (const file of files) {
    const profile = (await Bun.file(file).json()) as CpuProfile;
    const counts = countByPart(profile);
    const rows = [...counts]
      .sort(([, a], [, b]) => b - a)
      .map(([part, count]) => [part, percent(count / profile.samples.length)]);
    console.log(
      `${file}: ${profile.samples.length} samples\n\n${figuresTable(["", "share"], rows)}\n`,
    );
  }
}

function countByPart({ nodes, samples }: CpuProfile): Map<string, number> {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const parents = new Map(
    nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)),
  );
  const counts = new Map<string, number>();
  for (const sample of samples) {
    const stack: string[] = [];
    for (let node: number | undefined = sample; node !== undefined; node = parents.get(node)) {
      const frame = frames.get(node);
      stack.push(`${frame?.functionName} ${frame?.url}`);
    }
    const part = partOf(stack);
    counts.set(part, (counts.get(part) ?? 0) + 1);
  }
  return counts;
}

function partOf(stack: readonly string[]): string {
  for (const [part, files] of PARTS.slice(0, -2)) {
    if (stack.some((frame) => files.some((file) => frame.includes(file)))) return part;
  }
  // The request's handling lies below our layer on the stack; so these two count near the top only.
  for (const [part, files] of PARTS.slice(-2)) {
    if (stack.slice(0, 2).some((frame) => files.some((file) => frame.includes(file)))) return part;
  }
  return "everything else: Bun, Elysia, the handler";
}
