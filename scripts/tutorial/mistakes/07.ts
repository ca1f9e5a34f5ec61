/** Mistakes of stage 07: errors that are none, errors that say too little or too much, records that block. */
import type { Complaint, Mistake } from "./mistake.ts";

const SAYS = "a span that failed says of what kind and what went wrong, and no other does";
const NOT_FOUND = "a 404 is an error of whoever asked, and none of whoever answered";
const LETTER = "a dead letter has key, value and headers as they came, and says why and whence";

export const bare: Complaint = { failing: SAYS, says: /error\.type on each of them/ };

export const mistakes: readonly Mistake[] = [
  {
    name: "text-as-type",
    about: "The error's text is its error.type.",
    edits: [
      {
        file: "errors.ts",
        find: 'return { type: typeof code === "string" ? code : error.name, text: error.message };',
        replace: "return { type: error.message, text: error.message };",
      },
    ],
    failing:
      "what fails each time is an error in the end, and what cannot get better is tried once",
    says: /both with an error and its error\.type/,
  },
  {
    name: "no-error-type",
    about: "A failed span has a status, and no error.type.",
    edits: [{ file: "errors.ts", find: '  span.setAttribute("error.type", type);\n', replace: "" }],
    failing: SAYS,
    says: /error\.type on each of them/,
  },
  {
    name: "server-4xx",
    about: "A 4xx is an error of the service that answers it.",
    edits: [{ file: "http-server.ts", find: "status >= 500", replace: "status >= 400" }],
    failing: NOT_FOUND,
    says: /no SERVER span with an error/,
  },
  {
    name: "client-5xx-only",
    about: "A 4xx is no error of whoever asked.",
    edits: [{ file: "http-client.ts", find: "status >= 400", replace: "status >= 500" }],
    failing: NOT_FOUND,
    says: /an error on the gateway's CLIENT spans/,
  },
  {
    name: "with-values",
    about: "PostgreSQL's own words stand on the span.",
    edits: [
      {
        file: "errors.ts",
        find: "text: `PostgreSQL's error ${code}`",
        replace: "text: error.message",
      },
    ],
    failing: "what PostgreSQL says of values is on no span, and in no answer",
    says: /no value in a span's texts/,
  },
  {
    name: "retry-is-error",
    about: "Each try that fails marks the record's span as failed.",
    edits: [
      {
        file: "retries.ts",
        find: '      span.addEvent("retry",',
        replace: '      failSpan(span, { type, text });\n      span.addEvent("retry",',
      },
      { file: "retries.ts", find: "import { describe }", replace: "import { describe, failSpan }" },
    ],
    failing: "a failure that a retry makes good is an event, and no error",
    says: /no error on the CONSUMER span/,
  },
  {
    name: "retries-404",
    about: "What the orders service refuses is tried again like what it could not do.",
    edits: [
      {
        file: "worker.ts",
        find: "if (status >= 400) throw new PermanentError(",
        replace: "if (status >= 400) throw new Error(",
      },
    ],
    failing:
      "what fails each time is an error in the end, and what cannot get better is tried once",
    says: /one request for the order that is not there/,
  },
  {
    name: "handled-is-no-error",
    about: "The record is put aside, and its span says nothing of it.",
    edits: [{ file: "worker.ts", find: "        failSpan(span, describe(error));\n", replace: "" }],
    failing:
      "what fails each time is an error in the end, and what cannot get better is tried once",
    says: /they were given up/,
  },
  {
    name: "value-as-text",
    about: "The dead letter's value goes through a string.",
    edits: [
      {
        file: "worker.ts",
        find: "value: message.value,",
        replace: "value: String(message.value),",
      },
    ],
    failing: LETTER,
    says: /byte by byte/,
  },
  {
    name: "own-headers",
    about: "The dead letter has new headers in place of the record's.",
    edits: [{ file: "worker.ts", find: "      ...message.headers,\n", replace: "" }],
    failing: LETTER,
    says: /its headers, byte by byte: traceparent/,
  },
  {
    name: "parsers-words",
    about: "What the parser says of the value is why the record is put aside.",
    edits: [
      {
        file: "worker.ts",
        find: `  } catch {
    // The parser's own words quote the value.
    throw new PermanentError("the record's value is no JSON");`,
        replace: `  } catch (error) {
    throw new PermanentError(String(error));`,
      },
    ],
    failing: LETTER,
    says: /does not quote the value/,
  },
  {
    name: "after-the-span",
    about: "The dead letter is sent when the record's span has ended.",
    edits: [
      {
        file: "worker.ts",
        find: "        await putAside(record, error);\n",
        replace:
          "        setTimeout(() => void context.with(ROOT_CONTEXT, () => putAside(record, error)), 0);\n",
      },
      {
        file: "worker.ts",
        find: 'import type { Span } from "@opentelemetry/api";',
        replace: 'import { context, ROOT_CONTEXT, type Span } from "@opentelemetry/api";',
      },
    ],
    failing: "a dead letter is sent below its record's handling, and linked to its creation",
    says: /it is below the CONSUMER span/,
  },
  {
    name: "thrown-on",
    about: "What cannot be handled is thrown on to kafkajs.",
    edits: [
      {
        file: "worker.ts",
        find: "        await putAside(record, error);\n",
        replace: "        throw error;\n",
      },
    ],
    failing: "a record that nobody can handle does not hold up those behind it",
    says: /the order: pending/,
  },
];
