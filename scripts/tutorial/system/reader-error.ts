/** What is wrong with the files that are run, and not with the tool that runs them. */

/**
 * A program, or another file of the folder, did not do what it was run for: it ended, it did not come to
 * listen, it did not answer. The message is for the reader: what happened, and the program's last lines.
 */
export class ReaderError extends Error {
  override readonly name = "ReaderError";
}
