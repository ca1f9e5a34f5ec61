// The end of the process: what is still in a batch has to be sent first, of every signal.

// #region end
const shutdowns: (() => Promise<void>)[] = [];

/** `shutdown` is called when the process is told to end, beside all others. */
export function atEnd(shutdown: () => Promise<void>): void {
  shutdowns.push(shutdown);
}

async function end() {
  await Promise.all(shutdowns.map((shutdown) => shutdown()));
  process.exit(0);
}

process.once("SIGTERM", end).once("SIGINT", end);
// #endregion end
