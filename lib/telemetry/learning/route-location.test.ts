/** The line behind a span, with the layer in all the places where projects keep what they use. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cp, mkdir, mkdtemp, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { dependencies, devDependencies } from "../../../package.json";

/** Each starts a program, all at once. */
setDefaultTimeout(60_000);

const LAYER = resolve(import.meta.dir, "..");
const INSTALLED = dirname(dirname(Bun.resolveSync("hono/package.json", import.meta.dir)));

/** What this project installs, by the first part of the names; what those need is found from there. */
const PACKAGES = [
  ...new Set(
    Object.keys({ ...dependencies, ...devDependencies }).map((name) => name.replace(/\/.*/, "")),
  ),
];

/** The program; a comment marks the line that is to be found on the span of that name. */
const main = (layer: string) => `
import { Elysia } from "elysia";
import { Hono } from "hono";
import { traced } from "${layer}/http/bun.ts";
import { elysiaTelemetry } from "${layer}/http/elysia.ts";
import { honoTelemetry } from "${layer}/http/hono.ts";
import { inSpan } from "${layer}/span.ts";
import { recordSpans } from "${layer}/testing/record-spans.ts";

const recording = recordSpans();

const same = () => "same";
const plugin = new Elysia({ prefix: "/plugin" })
  .get("/users/:id", ({ params }) => params.id) //= GET /e/plugin/users/:id
  .get("/", () => "all"); //= GET /e/plugin/
const before = new Elysia().get("/before", () => "before"); //= GET /e/before
const elysia = (aot: boolean) =>
  new Elysia({ prefix: "/e", aot })
    .use(before)
    .use(elysiaTelemetry())
    .use(plugin)
    .get("/same-1", same) //= GET /e/same-1
    .get("/same-2", same) //= GET /e/same-2
    .get("/static", "text") //= GET /e/static
    // JavaScriptCore drops the frame of a function that ends in a call: the line is that of "group".
    .group("/group", (app) => //= POST /e/group/items
      app.post("/items", () => "items"))
    .guard({}, (app) => {
      app.get("/guarded", () => "guarded"); //= GET /e/guarded
      return app;
    })
    .mount("/mounted", new Elysia()
      .use(elysiaTelemetry())
      .get("/inner", () => "inner") //= GET /e/mounted/inner
      .fetch,
    );

const observed = new Elysia()
  .use(new Elysia({ name: "observability" }).use(elysiaTelemetry()))
  .get("/observed/:id", ({ params }) => params.id); //= GET /observed/:id

const users = new Hono()
  .get("/:id", (c) => c.text("user")) //= GET /h/users/:id
  .onError((error, c) => c.text(error.message, 500));
const hono = new Hono().use(honoTelemetry());
hono.get("/h/plain", (c) => c.text("plain")); //= GET /h/plain
hono.basePath("/h/base").post("/items", (c) => c.text("items")); //= POST /h/base/items
hono.route("/h/users", users);

async function step() {
  await inSpan("step", {}, async () => undefined); //= step
}

const response = async () => new Response();

const server = Bun.serve(
  traced({ //= GET /b/elsewhere
    port: 0,
    routes: {
      "/b/users/:id": (request) => new Response(request.params.id), //= GET /b/users/:id
      "/b/called": () => inSpan("call alone", {}, () => inSpan("below", {}, response)), //= GET /b/called, call alone, below
      ["/b/else" + "where"]: () => new Response("elsewhere"),
    },
  }),
);

for (const aot of [true, false]) {
  const app = elysia(aot);
  for (const path of ["plugin/users/7", "plugin/", "before", "same-1", "same-2", "static", "guarded"]) {
    await app.handle(new Request("http://host/e/" + path));
  }
  await app.handle(new Request("http://host/e/group/items", { method: "POST" }));
  if (aot) await app.handle(new Request("http://host/e/mounted/inner"));
}
await observed.handle(new Request("http://host/observed/7"));
for (const path of ["plain", "users/7"]) await hono.request("/h/" + path);
await hono.request("/h/base/items", { method: "POST" });
for (const path of ["users/7", "called", "elsewhere"]) await (await fetch(new URL("/b/" + path, server.url))).text();
await step();
await server.stop(true);
console.log(JSON.stringify(recording.spans().map(({ name, attributes: its }) =>
  [name, its["code.file.path"] + ":" + its["code.line.number"]])));
`;

let folder: string;
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "layer-")));
});
afterAll(() => rm(folder, { recursive: true }));

test.concurrent.each([
  ["in node_modules", "node_modules/@orderflow/telemetry", "main.ts"],
  ["copied under another name", "vendor/foo", "src/main.ts"],
  ["copied two levels down", "lib/telemetry", "services/shop/index.ts"],
  ["copied beside the program", "telemetry", "main.ts"],
])("%s, every span names the line of the project that made it", async (_, layer, file) => {
  const project = await createProject();
  await copyLayer(join(project, layer));
  await expectLines(project, join(project, layer), file);
});

test.concurrent(
  "as a workspace's package that is linked, every span names the line that made it",
  async () => {
    const project = await createProject({ workspaces: ["packages/*"] });
    await copyLayer(join(project, "packages/telemetry"));
    await mkdir(join(project, "node_modules/@orderflow"));
    const link = join(project, "node_modules/@orderflow/telemetry");
    await symlink(join(project, "packages/telemetry"), link);
    await Bun.write(join(project, "packages/shop/package.json"), "{}");
    await expectLines(project, link, "packages/shop/main.ts");
  },
);

async function copyLayer(place: string): Promise<void> {
  await cp(LAYER, place, { recursive: true, filter: (path) => !path.endsWith(".test.ts") });
}

/** A folder with what the layer and the program need, as an installation would put it there. */
async function createProject(manifest: object = {}): Promise<string> {
  const project = await mkdtemp(join(folder, "project-"));
  await Bun.write(join(project, "package.json"), JSON.stringify(manifest));
  await mkdir(join(project, "node_modules"));
  await Promise.all(
    PACKAGES.map((name) => symlink(join(INSTALLED, name), join(project, "node_modules", name))),
  );
  return project;
}

/** Runs the program as `file` of a project, and compares its spans' lines with those that are marked. */
async function expectLines(project: string, layer: string, file: string): Promise<void> {
  const source = main(layer);
  await Bun.write(join(project, file), source);
  const child = Bun.spawn([process.execPath, join(project, file)], {
    // The paths are the same wherever the program is started.
    cwd: tmpdir(),
    env: { ...process.env, ORDERFLOW_CODE_LOCATION: "on" },
    stdout: "pipe",
  });
  const spans: [string, string][] = JSON.parse(await child.stdout.text());
  const marked = source.split("\n").flatMap((line, at): [string, string][] => {
    const names = line.split("//= ")[1]?.split(", ") ?? [];
    return names.map((name) => [name, `${file}:${at + 1}`]);
  });
  expect(Object.fromEntries(spans)).toEqual(Object.fromEntries(marked));
  expect(spans.length).toBeGreaterThan(marked.length);
}
