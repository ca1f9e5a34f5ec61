/** tracedFetch over TLS: what Bun's `tls` option says reaches fetch, at each hop of a redirect. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tracedFetch } from "#lib/telemetry/http/client.ts";
import { recordSpans } from "#lib/telemetry/testing/record-spans.ts";
import { makeCertificates, type Certificates } from "./support/certificates.ts";

setDefaultTimeout(60_000);

let folder = "";
let certificates: Certificates;
const cleanUps: (() => unknown)[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "traced-fetch-tls-test-"));
  certificates = await makeCertificates(folder, "localhost");
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function serve(): string {
  const pem = Bun.file(certificates.serverPemFile);
  const server = Bun.serve({
    hostname: "localhost",
    port: 0,
    tls: { key: pem, cert: pem },
    fetch: ({ url }) => (url.endsWith("/end") ? new Response("end") : Response.redirect("/end")),
  });
  cleanUps.push(() => server.stop(true));
  return `https://localhost:${server.port}`;
}

test("a server that the caller's authority signed for is trusted, at each hop", async () => {
  const recording = recordSpans();
  cleanUps.push(() => recording.stop());
  const url = serve();
  const answer = await tracedFetch(url, { tls: { ca: Bun.file(certificates.caFile) } });
  expect([answer.url, await answer.text()]).toEqual([`${url}/end`, "end"]);
  expect(recording.spans().map(({ attributes }) => attributes["url.full"])).toEqual([
    `${url}/`,
    `${url}/end`,
  ]);
});

test("one that nobody trusts is refused with fetch's own error, which the span names", async () => {
  const recording = recordSpans();
  cleanUps.push(() => recording.stop());
  const url = serve();
  const refused = async (how: typeof fetch) => {
    const error = (await how(url).catch((thrown: unknown) => thrown)) as Error & { code: string };
    return { class: error.constructor, name: error.name, code: error.code };
  };
  const plain = await refused(fetch);
  expect(await refused(tracedFetch)).toEqual(plain);
  expect(plain.code).toMatch(/^[A-Z_]+$/);
  expect(recording.span("GET").attributes["error.type"]).toBe(plain.code);
});
