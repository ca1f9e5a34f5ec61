// The one error of the migration tool: something a person has to put right.

/**
 * What stopped a migration run, said in one line for the person at the terminal.
 * The message never holds the connection URL, so no password can be printed with it.
 */
export class MigrateError extends Error {
  override readonly name = "MigrateError";
}
