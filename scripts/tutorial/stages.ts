/** The stages of the tutorial, in the reader's order: what each is called, and where its page and files are. */
import { join } from "node:path";

/** A program of the tutorial's system: `<name>.ts` in a stage's folder. */
export type Program = "gateway" | "orders" | "worker" | "shipping";

/** One stage of the chapter. */
export interface Stage {
  /** As it is typed: "00" to "10", "end". */
  readonly id: string;
  readonly title: string;
  /** Its page in docs/tutorial/. */
  readonly page: string;
  /** What the reader adds, in a few words. */
  readonly adds: string;
  /** In the order in which they start. */
  readonly programs: readonly Program[];
  /** Laid over the last stage's solution where an exercise starts: a folder of docs/tutorial/stages/. */
  readonly overlay?: string;
}

const SYSTEM: readonly Program[] = ["orders", "gateway", "worker"];

export const STAGES: readonly Stage[] = [
  {
    id: "00",
    title: "Three processes",
    page: "00-three-processes.md",
    adds: "nothing: three log lines that nobody can put together",
    programs: SYSTEM,
  },
  {
    id: "01",
    title: "The first span",
    page: "01-first-span.md",
    adds: "a tracer provider, an exporter, one span a process",
    programs: SYSTEM,
  },
  {
    id: "02",
    title: "Spans in spans",
    page: "02-nesting.md",
    adds: "a context manager, and inSpan",
    programs: SYSTEM,
  },
  {
    id: "03",
    title: "HTTP in",
    page: "03-http-in.md",
    adds: "a SERVER span a request, below the caller's",
    programs: SYSTEM,
  },
  {
    id: "04",
    title: "HTTP out",
    page: "04-http-out.md",
    adds: "a CLIENT span a try, and the header that carries it",
    programs: SYSTEM,
  },
  {
    id: "05",
    title: "SQL",
    page: "05-sql.md",
    adds: "a CLIENT span a statement",
    programs: SYSTEM,
  },
  {
    id: "06",
    title: "Kafka",
    page: "06-kafka.md",
    adds: "an outbox, a PRODUCER span in it, a CONSUMER span a record",
    programs: SYSTEM,
  },
  {
    id: "07",
    title: "Errors",
    page: "07-errors.md",
    adds: "status, error.type and text; retries; dead letters",
    programs: SYSTEM,
  },
  {
    id: "08",
    title: "Metrics and logs",
    page: "08-metrics-and-logs.md",
    adds: "histograms by route, the trace id in every line",
    programs: SYSTEM,
  },
  {
    id: "09",
    title: "Limits",
    page: "09-limits.md",
    adds: "sampling, baggage, a bounded queue, an end in time",
    programs: SYSTEM,
  },
  {
    id: "10",
    title: "The layer",
    page: "10-the-layer.md",
    adds: "lib/telemetry in place of your own files",
    programs: SYSTEM,
  },
  {
    id: "end",
    title: "On your own",
    page: "end.md",
    adds: "a bare service, traced without help",
    programs: [...SYSTEM, "shipping"],
    overlay: "end-bare",
  },
];

/** The checkout. */
export const ROOT = join(import.meta.dir, "../..");
/** Pages and stages' solutions. */
export const CHAPTER = join(ROOT, "docs/tutorial");

/**
 * Where the reader works, and where the parts keep their state. TUTORIAL_FOLDER moves it, within the
 * checkout: elsewhere the reader's programs would not find their packages.
 */
export function workspace(): string {
  return process.env["TUTORIAL_FOLDER"] || join(ROOT, ".orderflow/tutorial");
}

/** @returns the stage, or undefined where there is none of that id */
export function stageOf(id: string): Stage | undefined {
  return STAGES.find((stage) => stage.id === id);
}

/** @returns the stage that the exercise of this one starts from, or undefined for the first */
export function stageBefore(stage: Stage): Stage | undefined {
  // Alone, at the end, the reader goes on with files of their own: not with the layer of stage 10.
  if (stage.id === "end") return stageOf("09");
  return STAGES[STAGES.indexOf(stage) - 1];
}

/** @returns the folder with a stage's solution */
export function solutionOf(stage: Stage): string {
  return join(CHAPTER, "stages", stage.id);
}
