// Bun's own server, which Elysia listens by as well, asked once by fetch.
const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("ok") });
await (await fetch(server.url)).text();
await server.stop(true);
