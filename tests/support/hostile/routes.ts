/** Every route of a service, as the code that adds them has it: none can be forgotten. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Elysia } from "elysia";
import type * as fc from "fast-check";
import type { ServiceName } from "#lib/service/services.ts";
import { hostileBody, type Route } from "./inputs.ts";

/** What stands for a dependency while routes are added: nobody asks it for anything. */
const NOBODY: unknown = new Proxy({}, { get: () => NOBODY });

interface AddedRoute {
  readonly method: string;
  readonly path: string;
  readonly hooks: { readonly body?: { readonly properties?: Record<string, { type?: string }> } };
}

/**
 * @param bodies for some routes (`POST /orders`); others get one by their schema
 * @throws Error where app.ts exports no `add…Routes`
 */
export async function routesOf(
  name: ServiceName,
  bodies: Readonly<Record<string, fc.Arbitrary<Uint8Array>>>,
): Promise<Route[]> {
  const file = join(import.meta.dir, "../../../services", name, "app.ts");
  // The worker answers nothing but what every service does.
  if (!existsSync(file)) return [];
  const exported = Object.entries((await import(file)) as Record<string, unknown>);
  const add = exported.find(([key]) => /^add\w+Routes$/.test(key))?.[1];
  if (typeof add !== "function") throw new Error(`services/${name}/app.ts exports no add…Routes`);
  const app = new Elysia();
  add(app, NOBODY, NOBODY);
  // The page's own files are large, and come from a package.
  const routes = (app.routes as unknown as AddedRoute[]).filter(
    ({ path }) => !path.startsWith("/openapi/assets/"),
  );
  return routes.map(({ method, path, hooks }) => {
    if (method === "GET") return { method, pattern: path };
    return { method, pattern: path, body: bodies[`${method} ${path}`] ?? bySchema(hooks.body) };
  });
}

function bySchema(schema: AddedRoute["hooks"]["body"]): fc.Arbitrary<Uint8Array> {
  const fields = Object.entries(schema?.properties ?? {}).map(([key, { type }]) => {
    return [key, type === "string" ? '"hostile"' : type === "boolean" ? "true" : "1"];
  });
  return hostileBody(Object.fromEntries(fields) as Record<string, string>);
}
