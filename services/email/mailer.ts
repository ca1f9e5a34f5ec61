/** The simulated sending of mail, at most once for each idempotency key. */
import { emailsSent } from "#lib/orders/instruments.ts";

/** How many keys are remembered; the oldest is forgotten first. */
const KEYS_MAX = 100_000;

export interface Mailer {
  /**
   * Sends a mail, or answers a repeat without sending.
   * @param key of the mail; without one every call sends
   */
  send(key: string | undefined): Promise<"sent" | "repeated">;
}

/** @param delayMs how long one sending takes, drawn anew each time between both ends */
export function createMailer(delayMs: { min: number; max: number }, keysMax = KEYS_MAX): Mailer {
  const sendings = new Map<string, Promise<void>>();

  const deliver = async () => {
    await Bun.sleep(delayMs.min + Math.random() * (delayMs.max - delayMs.min));
    emailsSent.add(1, { "orderflow.email.result": "sent" });
  };

  return {
    async send(key) {
      if (key === undefined) {
        await deliver();
        return "sent";
      }
      const known = sendings.get(key);
      if (known) {
        // A repeat that comes while the first is under way waits for it: both answers are true.
        await known;
        emailsSent.add(1, { "orderflow.email.result": "repeated" });
        return "repeated";
      }
      const sending = deliver();
      sendings.set(key, sending);
      if (sendings.size > keysMax) {
        const [oldest] = sendings.keys();
        if (oldest !== undefined) sendings.delete(oldest);
      }
      await sending;
      return "sent";
    },
  };
}
