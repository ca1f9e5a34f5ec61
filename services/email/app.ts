/** The routes of the e-mail service: it sends nothing, it takes the time that sending takes. */
import type { createBaseApp } from "#lib/service/app.ts";
import { BadInputError, UnavailableError } from "#lib/service/errors.ts";
import { faultStrikes } from "#lib/service/faults.ts";
import { readIdempotencyKey } from "#lib/service/idempotency-key.ts";
import { emailSchema } from "#lib/orders/schemas.ts";
import { logger } from "#lib/telemetry/logs/logger.ts";
import type { Mailer } from "./mailer.ts";

export function addEmailRoutes(app: ReturnType<typeof createBaseApp>, mailer: Mailer) {
  app.post(
    "/send",
    async ({ body, request }) => {
      if (!body.to.slice(1, -1).includes("@"))
        throw new BadInputError("to must be an e-mail address");
      const key = readIdempotencyKey(request.headers);
      if (faultStrikes("failing-email")) {
        throw new UnavailableError("the mail server takes no mail now; try again shortly");
      }
      const outcome = await mailer.send(key);
      logger.info("e-mail sent", { subject: body.subject, outcome });
      return { status: "sent" };
    },
    { body: emailSchema },
  );
  return app;
}
