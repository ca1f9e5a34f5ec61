// A server of node:http, required, that is asked once by fetch.
const { createServer } = require("node:http");

const server = createServer((_, response) => response.end("ok")).listen(0, "127.0.0.1", ask);

async function ask() {
  await (await fetch(`http://127.0.0.1:${server.address().port}/`)).text();
  server.close();
  server.closeAllConnections();
}
