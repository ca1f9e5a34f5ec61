/** An Elysia app over a database: a request in, a transaction and its statements. */
import { logger, startTelemetry } from "@orderflow/telemetry";
import { elysiaTelemetry } from "@orderflow/telemetry/elysia";
import { traceSql } from "@orderflow/telemetry/sql";
import { SQL } from "bun";
import { Elysia, t } from "elysia";

const telemetry = startTelemetry({ name: "notes", version: "1.0.0" });
const sql = traceSql(new SQL(process.env["DATABASE_URL"] ?? "sqlite://:memory:"));
await sql`CREATE TABLE notes (id integer PRIMARY KEY, text varchar(200) NOT NULL)`;

const Note = t.Object({ text: t.String() });

const app = new Elysia()
  .use(elysiaTelemetry())
  .post(
    "/notes/:id",
    async ({ params, body }) => {
      const note = { id: Number(params.id), text: body.text };
      await sql.begin(async (tx) => {
        await tx`INSERT INTO notes ${tx(note)}`;
      });
      return "kept";
    },
    { body: Note },
  )
  .get("/notes/:id", async ({ params, status }) => {
    const [note] = await sql`SELECT * FROM notes WHERE id = ${Number(params.id)}`;
    return note ?? status(404, "there is no such note");
  })
  .listen(Number(process.env["PORT"] ?? 3000));
logger.info("listening", { url: app.server?.url.origin });

process.on("SIGTERM", async () => {
  await app.stop();
  await sql.close();
  await telemetry.shutdown();
});
