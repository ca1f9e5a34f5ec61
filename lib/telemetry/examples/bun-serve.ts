/** A server on Bun.serve that calls itself: a request in, a step, a call out and a request in again. */
import { inSpan, logger, startTelemetry } from "@orderflow/telemetry";
import { traced } from "@orderflow/telemetry/bun";
import { tracedFetch } from "@orderflow/telemetry/http-client";

const telemetry = startTelemetry({ name: "greeter", version: "1.0.0" });

const server = Bun.serve(
  traced({
    port: Number(process.env["PORT"] ?? 3000),
    routes: {
      "/hello/:name": async ({ params, url }) => {
        const greeting = await inSpan("greet", {}, async () => `Hello ${params.name}`);
        const answer = await tracedFetch(new URL(`/mark?text=${greeting}`, url));
        return new Response(await answer.text());
      },
      "/metrics": async () => new Response(await telemetry.scrape()),
      "/broken": () => {
        throw new RangeError("out of greetings");
      },
    },
    fetch: ({ url }) => new Response(`${new URL(url).searchParams.get("text")}!`),
    error: () => new Response("sorry", { status: 500 }),
  }),
);
logger.info("listening", { url: server.url.origin });

process.on("SIGTERM", async () => {
  await server.stop();
  await telemetry.shutdown();
});
