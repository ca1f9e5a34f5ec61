/** What a person sees: how wide and colourful their terminal is, and addresses as they would type them. */

const WIDTH_DEFAULT_COLUMNS = 100;

/** How standard output is drawn on. */
export function terminal(): { widthColumns: number; color: boolean } {
  const { isTTY, columns } = process.stdout;
  return {
    widthColumns: columns || Number(process.env["COLUMNS"]) || WIDTH_DEFAULT_COLUMNS,
    color: isTTY && !process.env["NO_COLOR"],
  };
}

/** What is started here listens on the loopback address only; people call it localhost. */
export function forPeople(url: string): string {
  return url.replace("127.0.0.1", "localhost");
}
