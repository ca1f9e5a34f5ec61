/** What a check tells the reader. */
import { join, relative } from "node:path";
import { CHAPTER, ROOT, type Stage } from "../stages.ts";
import type { CheckItem, Verdict } from "./stage-check.ts";

const LABEL_WIDTH = 10;

/** @returns one item's result: its title where it passed, and what else is worth a look */
export function itemReport(item: CheckItem, verdict: Verdict, stage: Stage): string {
  if (verdict.passed) {
    return [`✓ ${item.title}`, ...(verdict.note ? [`  ${verdict.note}`] : [])].join("\n");
  }
  const page = relative(ROOT, join(CHAPTER, stage.page));
  const lines = [
    labelled("did", verdict.did),
    labelled("saw", verdict.saw),
    labelled("expected", verdict.expected),
    labelled("read", page + item.anchor),
  ];
  return [`✗ ${item.title}`, ...lines.filter((line) => line !== "")].join("\n");
}

/** @returns the last line, where items failed */
export function notDone(stage: Stage, why: string): string {
  return `your exercise is not done yet: ${why}; \`bun run tutorial hint ${stage.id}\` helps`;
}

function labelled(label: string, text: string): string {
  if (text === "") return "";
  const indent = " ".repeat(LABEL_WIDTH + 2);
  return `  ${label.padEnd(LABEL_WIDTH)}${text.trimEnd().replaceAll("\n", `\n${indent}`)}`;
}
