/** PostgreSQL's log, as far as it tells which statements it got. */

/**
 * Server settings that make it tell, and of which database. Each run has a few pools of ten connections, and
 * several runs may be under way.
 */
export const PARTS_SETTINGS = {
  log_statement: "all",
  log_line_prefix: "%d|",
  max_connections: "400",
};

const LOG_CHARS_MAX = 1_000_000;

/** The latest of a log, and the statements in it. */
export class StatementLog {
  #text = "";

  /** Takes a piece of the log as it comes. */
  add(text: string): void {
    this.#text = (this.#text + text).slice(-LOG_CHARS_MAX);
  }

  /** @returns what came for one database, in its order */
  statements(database: string): string[] {
    const pattern = /^(?:statement|execute [^:]*): (?<statement>[^]*)$/;
    const prefix = `${database}|LOG:  `;
    return (
      this.#text
        // A line that begins with a tab goes on with the one before it.
        .replaceAll("\n\t", "\r")
        .split("\n")
        .filter((line) => line.startsWith(prefix))
        .flatMap((line) => pattern.exec(line.slice(prefix.length))?.groups?.["statement"] ?? [])
        .map((statement) => statement.replaceAll("\r", "\n").trim())
    );
  }
}
