/** Requests of a check to the programs. */
import type { Program } from "../stages.ts";
import { readBody } from "./body.ts";
import { ReaderError } from "./reader-error.ts";
import type { Answer, System } from "./system.ts";

const REQUEST_TIMEOUT_MS = 10_000;
const TEXT_CHARS_SHOWN = 300;
const ITEMS = [
  { item: "tea", quantity: 2 },
  { item: "cup", quantity: 1 },
];

/**
 * @param urlOf a program's base URL; "" where it does not listen
 * @param ended ends what is under way
 */
export function createRequests(
  urlOf: (program: Program) => string,
  ended: AbortSignal,
): Pick<System, "request" | "placeOrder"> {
  const request: System["request"] = async (program, method, path, options = {}) => {
    const url = urlOf(program);
    if (!url) throw new Error(`${program} takes no requests`);
    const { headers, body, timeoutMs = REQUEST_TIMEOUT_MS } = options;
    const timeout = AbortSignal.timeout(timeoutMs);
    const own = [ended, ...(options.signal ? [options.signal] : [])];
    try {
      const response = await fetch(url + path, {
        method,
        headers: {
          ...(body !== undefined && { "content-type": "application/json" }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
        redirect: "manual",
        // A program that was started again is not asked on a connection to the one before.
        keepalive: false,
        proxy: false,
        signal: AbortSignal.any([timeout, ...own]),
      });
      const text = (await readBody(response.body)).toString();
      return answerOf(`${program} answered ${method} ${path}`, response, text);
    } catch (cause) {
      for (const signal of own) signal.throwIfAborted();
      const what = timeout.aborted
        ? `did not answer ${method} ${path} within ${timeoutMs / 1000} s`
        : `did not answer ${method} ${path} (${String(cause)})`;
      throw new ReaderError(`the program ${program} ${what}`, { cause });
    }
  };

  const placeOrder: System["placeOrder"] = async (order = {}) => {
    const { customer = "customer-1", items = ITEMS, headers = {} } = order;
    const body = { customer, items };
    const answer = await request("gateway", "POST", "/orders", { body, headers });
    const { id } = Object(answer.status === 201 ? answer.json() : {}) as { id?: unknown };
    if (typeof id === "string") return { ...answer, id };
    const got = `${answer.status} ${answer.text.slice(0, TEXT_CHARS_SHOWN)}`;
    throw new ReaderError(`gateway answered POST /orders with ${got}, and not with 201 and an id`);
  };
  return { request, placeOrder };
}

function answerOf(what: string, { status, headers }: Response, text: string): Answer {
  return {
    status,
    headers,
    text,
    json() {
      try {
        return JSON.parse(text);
      } catch (cause) {
        const shown = text.slice(0, TEXT_CHARS_SHOWN);
        throw new ReaderError(`${what} with ${status}, and with no JSON: ${shown}`, { cause });
      }
    },
  };
}
