/** The e-mail service: answers `POST /send` after the time that sending a mail would take. */
import { startService } from "#lib/service/lifecycle.ts";
import { addEmailRoutes } from "./app.ts";
import { loadEmailConfig } from "./config.ts";
import { createMailer } from "./mailer.ts";

const service = startService("email", loadEmailConfig);
const mailer = createMailer(service.config.delayMs);
service.listen(addEmailRoutes(service.baseApp({}), mailer), {});
