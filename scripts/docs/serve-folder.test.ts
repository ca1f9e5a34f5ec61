import { afterAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serveFolder } from "./serve-folder.ts";

const folder = await mkdtemp(join(tmpdir(), "served-"));
await Bun.write(join(folder, "site/index.html"), "start");
await Bun.write(join(folder, "site/docs/index.html"), "documents");
await Bun.write(join(folder, "site/docs/a.html"), "a page");
await Bun.write(join(folder, "site/404.html"), "not here");
await Bun.write(join(folder, "outside.html"), "not to be seen");
const site = serveFolder(join(folder, "site"), [0]);

afterAll(async () => {
  await site[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

test.each([
  ["", 200, "start"],
  ["docs/", 200, "documents"],
  ["docs", 200, "documents"],
  ["docs/a.html?x=1", 200, "a page"],
  ["docs/a", 200, "a page"],
  ["docs/none.html", 404, "not here"],
  ["%2e%2e/outside.html", 404, "not here"],
  ["..%2foutside.html", 404, "not here"],
  ["%00", 404, "not found"],
  ["%ff", 404, "not found"],
])("/%s is answered with %i", async (path, status, text) => {
  const answer = await fetch(site.url + path);
  expect([answer.status, await answer.text()]).toEqual([status, text]);
});

test("a folder's page says that it is HTML", async () => {
  expect((await fetch(site.url)).headers.get("content-type")).toStartWith("text/html");
});

test("the next port is taken where one is taken, and none is an error", async () => {
  const port = Number(new URL(site.url).port);
  await using other = serveFolder(folder, [port, 0]);
  expect(other.url).not.toBe(site.url);
  expect(() => serveFolder(folder, [port])).toThrow(/in use/);
});
