/** What must be true of mail, told by the mail service's own log: one line for each request it took. */
import { readFile } from "node:fs/promises";
import type { BookedOrder } from "./books.ts";
import { check, type Check } from "./check.ts";

export interface Mail {
  readonly orderId: string;
  readonly status: string;
  /** Which life of the mail service, from 1. */
  readonly life: number;
  /** `repeated`: the service knew the mail's key and sent nothing. */
  readonly outcome: "sent" | "repeated";
}

/** @param logFiles of the mail service, one a life */
export async function readMails(logFiles: readonly string[]): Promise<Mail[]> {
  const lives = await Promise.all(logFiles.map((file) => readFile(file, "utf8")));
  return lives.flatMap((text, index) =>
    text.split("\n").flatMap((line) => {
      if (!line.includes('"e-mail sent"')) return [];
      const { subject, outcome } = JSON.parse(line) as {
        subject: string;
        outcome: Mail["outcome"];
      };
      const [, orderId, status] = /^Your order (\S+) is (\w+)$/.exec(subject) ?? [];
      return orderId && status ? [{ orderId, status, life: index + 1, outcome }] : [];
    }),
  );
}

/**
 * The mail service keeps what it sent in memory: it promises a mail once within one of its lives. A mail
 * whose answer was lost with the service is sent again by the next; those are counted.
 */
export function checkMails(mails: readonly Mail[], orders: readonly BookedOrder[]): Check[] {
  const sent = mails.filter(({ outcome }) => outcome === "sent");
  const repeated = mails.length - sent.length;
  const byOrder = Map.groupBy(sent, (mail) => mail.orderId);
  const again = [...Map.groupBy(sent, ({ orderId, status }) => `${orderId}:${status}`)].filter(
    ([, copies]) => copies.length > 1,
  );
  const withinALife = again.filter(
    ([, copies]) => new Set(copies.map(({ life }) => life)).size < copies.length,
  );
  return [
    check(
      "every settled order has had its mail",
      `${sent.length} mails`,
      orders
        .filter(({ status }) => status !== "pending")
        .filter(({ id, status }) => !byOrder.get(id)?.some((mail) => mail.status === status))
        .map(({ id, status }) => `order ${id} is ${status} and had no mail that says so`),
    ),
    check(
      "no mail says what is not so",
      `${sent.length} mails`,
      orders.flatMap(({ id, status }) =>
        (byOrder.get(id) ?? [])
          .filter((mail) => mail.status !== status)
          .map((mail) => `order ${id} is ${status} and had a mail: ${mail.status}`),
      ),
    ),
    check(
      "no mail twice (kills of email aside)",
      `${repeated} repeats answered, ${again.length - withinALife.length} again after a kill`,
      withinALife.map(([mail, copies]) => `${mail} was sent ${copies.length} times`),
    ),
  ];
}
