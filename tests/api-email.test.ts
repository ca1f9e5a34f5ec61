// POST /send at the e-mail service.
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { call, expectError } from "./support/api.ts";
import { stack, startStack, STACK_START_TIMEOUT_MS, TEST_TIMEOUT_MS } from "./support/stack.ts";

setDefaultTimeout(TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

const mail = { to: "ann@example.com", subject: "Hello", body: "Your order" };
const send = async (body: unknown, headers: Record<string, string> = {}) =>
  call("POST", `${(await stack()).services.email}/send`, body, headers);

/** How many mails the service says it has sent, and how many repeats it has answered. */
async function counted(result: "sent" | "repeated"): Promise<number> {
  const { text } = await call("GET", `${(await stack()).services.email}/metrics`);
  const line = new RegExp(`^orderflow_emails_sent_total\\{[^}]*="${result}"[^}]*\\} (\\d+)`, "m");
  return Number(line.exec(text)?.[1] ?? 0);
}

describe("a mail", () => {
  test("is sent", async () => {
    const answer = await send(mail);
    expect({ status: answer.status, body: answer.json }).toEqual({
      status: 200,
      body: { status: "sent" },
    });
  });

  test("with a key is sent once, however often and at once it is asked for", async () => {
    const headers = { "idempotency-key": crypto.randomUUID() };
    const repeatedBefore = await counted("repeated");
    const answers = await Promise.all(Array.from({ length: 5 }, () => send(mail, headers)));
    answers.push(await send(mail, headers));
    for (const answer of answers) {
      expect({ status: answer.status, body: answer.json }).toEqual({
        status: 200,
        body: { status: "sent" },
      });
    }
    expect((await counted("repeated")) - repeatedBefore).toBe(5);
  });

  test.each([
    ["no to", { subject: "s", body: "b" }],
    ["no subject", { to: "a@b", body: "b" }],
    ["no body", { to: "a@b", subject: "s" }],
    ["to without @", { ...mail, to: "ann" }],
    ["to that is only @", { ...mail, to: "@" }],
    ["to that starts with @", { ...mail, to: "@example.com" }],
    ["to that ends with @", { ...mail, to: "ann@" }],
    ["to empty", { ...mail, to: "" }],
    ["to a number", { ...mail, to: 1 }],
    ["to a list", { ...mail, to: ["a@b"] }],
    ["subject empty", { ...mail, subject: "" }],
    ["subject null", { ...mail, subject: null }],
    ["body null", { ...mail, body: null }],
    ["NUL in the body", { ...mail, body: "a\u0000" }],
    ["a text", '"mail"'],
    ["malformed JSON", "{"],
    ["nothing", ""],
  ])("is refused with 400 for %s", async (_, body) => {
    expectError(await send(body), 400);
  });

  test.each([["k".repeat(256)], [""], ["a b"], ["a, b"], ["\u00e9"]])(
    "is refused with 400 for the key %j",
    async (key) => {
      expectError(await send(mail, { "idempotency-key": key }), 400, /Idempotency-Key/);
    },
  );
});
