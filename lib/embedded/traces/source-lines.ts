/** The source around a span's line: of files inside the project, and only where a span says so. */
import { realpath } from "node:fs/promises";
import { extname, isAbsolute, join, relative, sep } from "node:path";
import type { WireSource } from "../viewer/wire.ts";

/** Files that hold code. Nothing else that lies in a project is shown, settings and keys least of all. */
const EXTENSIONS = new Set([".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs"]);
const FILE_BYTES_MAX = 2 * 1024 ** 2;
const LINES_AROUND = 7;
const LINE_CHARS_MAX = 400;

/**
 * Reads 15 lines around one.
 * @param root the project's folder
 * @param file as a span's `code.file.path` says it: relative to the root, or absolute
 * @param line from 1
 * @returns undefined where there is no such line, or where the file is none of the project's own
 */
export async function sourceAround(
  root: string,
  file: string,
  line: number,
): Promise<WireSource | undefined> {
  const path = await ownFile(root, file);
  if (path === undefined) return undefined;
  const blob = Bun.file(path);
  if (blob.size > FILE_BYTES_MAX) return undefined;
  const lines = (await blob.text()).split(/\r?\n/);
  if (!Number.isInteger(line) || line < 1 || line > lines.length) return undefined;
  const first = Math.max(1, line - LINES_AROUND);
  return {
    file,
    path,
    line,
    first,
    lines: lines.slice(first - 1, line + LINES_AROUND).map((text) => text.slice(0, LINE_CHARS_MAX)),
  };
}

/** @returns its real path; undefined for what is outside, hidden, a package's, or no code */
async function ownFile(root: string, file: string): Promise<string | undefined> {
  if (file.includes("\0") || file.includes("\\")) return undefined;
  try {
    const realRoot = await realpath(root);
    // Links are followed first: one that leads out of the project leads nowhere.
    const path = await realpath(isAbsolute(file) ? file : join(realRoot, file));
    const inside = relative(realRoot, path);
    const parts = inside.split(sep);
    if (inside === "" || isAbsolute(inside) || parts[0] === "..") return undefined;
    if (parts.some((part) => part.startsWith(".") || part === "node_modules")) return undefined;
    return EXTENSIONS.has(extname(path)) ? path : undefined;
  } catch {
    return undefined;
  }
}
