/** What an answer to hostile input must be, whatever the input was. */
import { TIMEOUT_HEADER } from "#lib/service/deadline.ts";
import { INJECTED_HEADER, type HostileRequest } from "./inputs.ts";
import type { RawAnswer } from "./raw-http.ts";

/** Words of PostgreSQL, of libraries and of stack traces. What the request itself says is none of them: an item may be called `.ts`. */
const INTERNALS =
  /PostgresError|SQLSTATE|ERR_[A-Z]|ECONN|invalid input syntax|violates|relation "|column "|byte sequence|(?:Type|Syntax|Range|Reference|Validation|Parse)Error|node_modules|\.ts\b|\bat .+:\d+:\d+|typebox|elysia|kafkajs|native code|Expected (?:string|object|integer|array|union|property)/gi;

/** Statuses that Bun's own HTTP parser refuses with, before any of our code runs. */
const PARSER_STATUSES = new Set([400, 413, 414, 431, 501, 505]);
/** Bun's own bound for the request line and the headers is 16 KiB; past some of it, it may refuse. */
const HEAD_CHARACTERS_MAX = 12_000;

/**
 * Judges an answer.
 * @returns a word for the count: its status, or who closed the connection
 * @throws Error that says what is wrong with it
 */
export function judge(request: HostileRequest, answer: RawAnswer | undefined): string {
  if (!answer) {
    if (request.mayBreakHttp) return "closed";
    throw new Error("the connection was closed without an answer");
  }
  const { status, headers, body, rest } = answer;
  if (body.length === 0 && PARSER_STATUSES.has(status) && mayBeRefusedByParser(request))
    return `${status} by the HTTP parser`;
  if (status === 504 && saysItDoesNotWait(request)) {
    judgeErrorBody(answer, saidIn(request));
    return "504 as asked for";
  }
  if (status >= 500) throw new Error(`answered ${status}: ${body.toString()}`);
  if (rest.length > 0) throw new Error(`bytes behind the answer: ${rest.toString("latin1")}`);
  if (headers.has(INJECTED_HEADER)) throw new Error("a header was injected into the answer");
  if (status < 400 || request.method === "HEAD") return String(status);

  judgeErrorBody(answer, saidIn(request));
  return String(status);
}

/** Who says that nobody waits for the answer is told that the time is over. */
function saysItDoesNotWait({ headers }: HostileRequest): boolean {
  return headers.some(([name]) => name.toLowerCase() === TIMEOUT_HEADER);
}

function mayBeRefusedByParser({ mayBreakHttp, target, headers }: HostileRequest): boolean {
  return mayBreakHttp || target.length + headers.join().length > HEAD_CHARACTERS_MAX;
}

/** @returns all that a request says, as it was sent and as its path is read */
function saidIn({ target, headers, body }: HostileRequest): string {
  const decoded = target.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return [target, decoded, headers.join(), body ? Buffer.from(body).toString() : ""].join("\n");
}

/**
 * @param said what the request said, which an error may repeat
 * @throws Error where an error's body is not exactly `{"error": "…"}`, or tells of what is inside
 */
export function judgeErrorBody({ status, headers, body }: RawAnswer, said = ""): void {
  const text = body.toString();
  if (!headers.get("content-type")?.startsWith("application/json")) {
    throw new Error(`${status} without JSON: ${headers.get("content-type")} ${text.slice(0, 300)}`);
  }
  const parsed = JSON.parse(text) as Record<string, unknown>;
  const { error } = parsed;
  if (Object.keys(parsed).join() !== "error" || typeof error !== "string" || error === "") {
    throw new Error(`${status} with more or less than an error text: ${text.slice(0, 300)}`);
  }
  const own = said.toLowerCase();
  const found = error.match(INTERNALS)?.find((word) => !own.includes(word.toLowerCase()));
  if (found) throw new Error(`${status} tells of what is inside (${found}): ${error}`);
}
