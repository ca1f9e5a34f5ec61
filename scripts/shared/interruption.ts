/** Ctrl-C and its kin: the first asks the program to stop, a later one ends it at once. */

/** The program was asked to stop. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  constructor(
    /** As shells count: 128 and the signal's number. */
    readonly exitStatus: number,
  ) {
    super("interrupted");
  }
}

const EXIT_STATUSES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
/** npx and `bun run` may hand on the signal that the terminal has already sent to all. */
const SAME_MS = 500;

/**
 * Takes the signals over.
 * @param onFirst called when the first one comes
 * @returns aborts, with {@link Interrupted} as its reason, when the first one comes
 */
export function interruption(onFirst: () => void): AbortSignal {
  const controller = new AbortController();
  let firstMs = 0;
  for (const [signal, exitStatus] of Object.entries(EXIT_STATUSES)) {
    process.on(signal, () => {
      if (!controller.signal.aborted) {
        firstMs = performance.now();
        onFirst();
        controller.abort(new Interrupted(exitStatus));
      } else if (performance.now() - firstMs > SAME_MS) {
        // Nothing is left behind all the same: the services end with us (--no-orphans), and
        // PostgreSQL's supervisor sees its pipe close.
        process.exit(exitStatus);
      }
    });
  }
  return controller.signal;
}

/** Waits until a signal aborts. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}
