import { afterEach, expect, test } from "bun:test";
import { Elysia } from "elysia";
import { setCodeLocationEnabled } from "./code-location.ts";
import { rememberRouteLocations, routeLocation } from "./route-location.ts";

afterEach(() => setCodeLocationEnabled(false));

test("off: the app is left as it is and nothing is known", () => {
  setCodeLocationEnabled(false);
  const app = new Elysia();
  const { get } = app;
  expect(rememberRouteLocations(app).get).toBe(get);
  app.get("/off", () => "x");
  expect(routeLocation("GET", "/off")).toBeUndefined();
});

test("on: routes work as before, also chained ones", async () => {
  setCodeLocationEnabled(true);
  const app = rememberRouteLocations(new Elysia());
  app.get("/a/:id", ({ params }) => params.id).post("/a", ({ body }) => body as string);
  expect(await (await app.handle(new Request("http://localhost/a/7"))).text()).toBe("7");
  const post = new Request("http://localhost/a", {
    method: "POST",
    body: "hello",
    headers: { "content-type": "text/plain" },
  });
  expect(await (await app.handle(post)).text()).toBe("hello");
});
