/**
 * The shape of drawn traces: which span is below which, whatever the order of siblings. The SDK tells starts
 * in milliseconds, so the order of two quick steps is not the same in each drawing.
 */

/** A drawn span with what is below it. */
interface Node {
  readonly depth: number;
  /** Service and name, and its message on a line of its own. */
  text: string;
  readonly children: Node[];
}

const HEAD = /^trace [0-9a-f]{32} {2}/;
const AXIS = /^ *0 ╌* ?[\d.]+ (?:µs|ms|s)$/;
const SPAN = /^(?<service>\S+) (?<rest>.*?)(?<bar> +[█▏]+ +[\d.]+ (?:µs|ms|s))$/;
const BRANCHES = /^…?(?:│ | {2}|├ |└ )*/;
const COLUMNS_A_LEVEL = 2;

/** @returns the text with each trace in it as its head and an indented tree, without times and bars */
export function withTreeShapes(text: string): string {
  const lines = text.split("\n");
  const shaped: string[] = [];
  while (lines.length > 0) {
    const line = lines.shift() ?? "";
    if (HEAD.test(line) && AXIS.test(lines[0] ?? "")) {
      lines.shift();
      shaped.push(line, ...shapeOfTree(takeSpans(lines)));
    } else {
      shaped.push(line);
    }
  }
  return shaped.join("\n");
}

/** Takes the lines of a trace's spans from the front: what begins with a blank is the message of the last one. */
function takeSpans(lines: string[]): string[] {
  const end = lines.findIndex((line) => !SPAN.test(line) && !/^ +\S/.test(line));
  return lines.splice(0, end < 0 ? lines.length : end);
}

function shapeOfTree(lines: readonly string[]): string[] {
  const spans = lines.map((line) => SPAN.exec(line)?.groups);
  const serviceColumns = Math.max(...spans.map((span) => span?.["service"]?.length ?? 0));
  const root: Node = { depth: -1, text: "", children: [] };
  const path = [root];
  for (const [index, line] of lines.entries()) {
    const span = spans[index];
    if (!span) {
      const message = line.replace(/^[ │]+/, "");
      const last = path.at(-1);
      if (last) last.text += `: ${message}`;
      continue;
    }
    const { service = "", bar = "" } = span;
    // Behind the service's column: the blanks that fill it up are no branches.
    const tree = line.slice(serviceColumns + 1, -bar.length);
    const [branches = ""] = BRANCHES.exec(tree) ?? [];
    const depth = Math.ceil(branches.length / COLUMNS_A_LEVEL);
    const text = `${service} ${tree.slice(branches.length)}`;
    const node: Node = { depth, text, children: [] };
    while ((path.at(-1)?.depth ?? -1) >= depth) path.pop();
    path.at(-1)?.children.push(node);
    path.push(node);
  }
  return root.children
    .map(drawn)
    .sort()
    .flatMap((tree) => tree.split("\n"));
}

function drawn({ depth, text, children }: Node): string {
  const below = children.map(drawn).sort();
  return [`${"  ".repeat(depth)}${text}`, ...below].join("\n");
}
