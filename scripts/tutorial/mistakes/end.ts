/** Mistakes at the end: what is easily forgotten where nobody says what comes next. */
import type { Complaint, Mistake } from "./mistake.ts";

const HANDLED =
  "a record's handling is a CONSUMER span below the record's creation, and linked to it";

export const bare: Complaint = { failing: HANDLED, says: /service\.name is "shipping"/ };

export const mistakes: readonly Mistake[] = [
  {
    name: "no-process",
    about: "The record is handled without a span.",
    edits: [
      {
        file: "shipping.ts",
        find: "await processRecord(record, GROUP, async () => {",
        replace: "await (async (work: () => Promise<void>) => await work())(async () => {",
      },
      { file: "shipping.ts", find: "processRecord, publishRecord", replace: "publishRecord" },
    ],
    failing: HANDLED,
    says: /one CONSUMER span of shipping/,
  },
  {
    name: "plain-fetch",
    about: "It asks the orders service with fetch.",
    edits: [{ file: "shipping.ts", find: "await tracedFetch(", replace: "await fetch(" }],
    failing: "shipping asks the orders service below that span, and the header says so",
    says: /one CLIENT span of shipping/,
  },
  {
    name: "no-headers",
    about: "The record is sent without the headers.",
    edits: [{ file: "shipping.ts", find: ", headers }],", replace: " }]," }],
    failing: "the record it sends carries its PRODUCER span",
    says: /traceparent: none/,
  },
  {
    name: "values-in-text",
    about: "The address is put into the statement's text.",
    edits: [
      {
        file: "sql.ts",
        find: "const text = textOf(texts);",
        replace: 'const text = `${textOf(texts)} ${values.join(" ")}`;',
      },
    ],
    failing: "each of its statements is a span, with its text and without its values",
    says: /shows the customer/,
  },
  {
    name: "no-route",
    about: "Requests to it make no span.",
    edits: [{ file: "shipping.ts", find: "  .use(traceRequests())\n", replace: "" }],
    failing: "a request to it is a SERVER span below its caller's, named by its route",
    says: /a SERVER span of shipping/,
  },
];
