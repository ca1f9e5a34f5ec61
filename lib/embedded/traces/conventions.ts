/** What the semantic conventions say of an attribute: out of the package that has their names. */
import { dirname, join } from "node:path";
import type { WireConvention } from "../viewer/wire.ts";

const FILES = ["stable_attributes.d.mts", "experimental_attributes.d.mts"];
const REGISTRY = "https://opentelemetry.io/docs/specs/semconv/registry/attributes/";
const ENTRY = /\/\*\*((?:(?!\*\/)[^])*)\*\/\s*declare const ATTR_\w+: "([^"]+)";/g;
/** Some go on for pages; their first sentences say what they are. */
const BRIEF_CHARS_MAX = 600;

let known: Promise<ReadonlyMap<string, WireConvention>> | undefined;

/** @returns what is said of each of the keys that the conventions know; read once, when first asked for */
export async function conventionsOf(
  keys: readonly string[],
): Promise<Record<string, WireConvention>> {
  known ??= read().catch(() => new Map());
  const conventions = await known;
  const found = keys.map((key) => [key, conventions.get(key)] as const);
  return Object.fromEntries(
    found.filter((one): one is [string, WireConvention] => one[1] !== undefined),
  );
}

async function read(): Promise<Map<string, WireConvention>> {
  const folder = dirname(Bun.resolveSync("@opentelemetry/semantic-conventions", import.meta.dir));
  const conventions = new Map<string, WireConvention>();
  for (const file of FILES) {
    const text = await Bun.file(join(folder, file)).text();
    for (const [, comment = "", key = ""] of text.matchAll(ENTRY)) {
      if (!conventions.has(key)) conventions.set(key, conventionIn(comment, key));
    }
  }
  return conventions;
}

function conventionIn(comment: string, key: string): WireConvention {
  const lines = comment.split("\n").map((line) => line.replace(/^\s*\* ?/, "").trimEnd());
  const tag = (name: string) =>
    lines.find((line) => line.startsWith(`@${name}`))?.slice(name.length + 1);
  const first = lines.findIndex((line) => line.startsWith("@"));
  const brief = lines
    .slice(0, first === -1 ? lines.length : first)
    .join(" ")
    .trim();
  const deprecated = tag("deprecated")?.trim();
  return {
    brief: brief.replaceAll(/\s+/g, " ").slice(0, BRIEF_CHARS_MAX),
    stability:
      deprecated === undefined
        ? tag("experimental") === undefined
          ? "stable"
          : "in development"
        : "deprecated",
    ...(deprecated && { instead: deprecated }),
    link: `${REGISTRY}${key.split(/[._]/)[0] ?? ""}/`,
  };
}
