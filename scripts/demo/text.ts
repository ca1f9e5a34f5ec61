/** What the demo tells a person, line by line. */
import { forPeople } from "../shared/terminal.ts";

const PART_COLUMNS = 14;
const WHERE_COLUMNS = 24;

/** A part that is ready, with the time it took since its own start. */
export function partLine(part: string, where: string, durationMs: number): string {
  return `  ${part.padEnd(PART_COLUMNS)}${where.padEnd(WHERE_COLUMNS)}${formatSeconds(durationMs)}`;
}

/** @returns with two digits, so that what takes next to nothing is seen to */
export function formatSeconds(durationMs: number): string {
  return `${(durationMs / 1_000).toFixed(2)} s`;
}

/** Where to look, and what to try, while the demo stays. */
export function whereToLook(places: {
  readonly gatewayUrl: string;
  readonly queryUrl: string;
  readonly traceId: string | undefined;
  readonly postgresUrl: string;
  readonly kafkaBrokers: string;
  /** Where the trace store takes spans. */
  readonly otlpUrl: string;
  readonly logsFolder: string | undefined;
}): string {
  const query = forPeople(places.queryUrl);
  const gateway = forPeople(places.gatewayUrl);
  const { traceId } = places;
  const rows = [
    ...(traceId ? [["this trace", `${query}/trace/${traceId}`]] : []),
    ["all traces", query],
    ["Jaeger's API", `${query}/api/traces?service=gateway`],
    ["gateway", `${gateway}/orders`],
    ["its API", `${gateway}/openapi`],
    // Its password is this demo's own: random, for a server on the loopback address, gone with it.
    ["PostgreSQL", forPeople(places.postgresUrl)],
    ["Kafka", forPeople(places.kafkaBrokers)],
    ...(places.logsFolder ? [["logs", `${places.logsFolder}/`]] : []),
  ];
  return [
    "Look at it:",
    ...rows.map(([name = "", where]) => `  ${name.padEnd(PART_COLUMNS)}${where}`),
    "",
    "Order something that is not there, and see how it is cancelled:",
    `  curl -i ${gateway}/orders -H 'content-type: application/json' \\`,
    `    -d '{"customer_id":"me","items":[{"item_id":"NONE","quantity":1,"price":1}]}'`,
    "",
    "See the traces of a service of your own here as well, with this in its environment:",
    `  OTEL_EXPORTER_OTLP_ENDPOINT=${forPeople(places.otlpUrl)}`,
    "",
    "Learn to make such a trace by hand: docs/tutorial/README.md, or as pages by `bun run docs`.",
    "",
    "Ctrl-C stops everything.",
  ].join("\n");
}
