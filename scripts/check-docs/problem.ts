/** Something that a document says and that is not so. */
export interface Problem {
  /** Path from the root. */
  readonly page: string;
  /** 1-based. */
  readonly line: number;
  /** What is wrong, without a full stop. */
  readonly text: string;
}

/** @returns as editors and terminals take it: "docs/chaos.md:12: …" */
export function problemLine({ page, line, text }: Problem): string {
  return `${page}:${line}: ${text}`;
}
