/** What the checks say: one line for each thing that was looked at. */

export interface Report {
  /** It holds. */
  ok(what: string): void;
  /** It does not. */
  fail(what: string, why: string): void;
  /** It could not be looked at here. */
  unproven(what: string, why: string): void;
  readonly counts: { readonly ok: number; readonly failed: number; readonly unproven: number };
}

/** Prints as it goes. */
export function createReport(): Report {
  const counts = { ok: 0, failed: 0, unproven: 0 };
  return {
    counts,
    ok(what) {
      counts.ok++;
      console.log(`  ok        ${what}`);
    },
    fail(what, why) {
      counts.failed++;
      console.log(`  FAILED    ${what}\n${indent(why)}`);
    },
    unproven(what, why) {
      counts.unproven++;
      console.log(`  unproven  ${what}: ${why}`);
    },
  };
}

function indent(text: string): string {
  return text.trimEnd().replace(/^/gm, "              ");
}
