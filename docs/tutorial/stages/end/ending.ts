// The end of the process: what is still in a batch has to be sent first, of every signal.

// #region end
const shutdowns: (() => Promise<void>)[] = [];

/** `shutdown` is called when the process is told to end, beside all others. */
export function atEnd(shutdown: () => Promise<void>): void {
  shutdowns.push(shutdown);
}

/** A collector that does not answer must not keep a process from its end: then the rest is lost. */
const END_WITHIN_MS = 3_000;

async function end() {
  const done = Promise.allSettled(shutdowns.map((shutdown) => shutdown()));
  await Promise.race([done, Bun.sleep(END_WITHIN_MS)]);
  process.exit(0);
}

process.once("SIGTERM", end).once("SIGINT", end);
// #endregion end
