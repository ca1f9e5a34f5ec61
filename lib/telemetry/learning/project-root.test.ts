import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "./project-root.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "project-root-"));
  await mkdir(join(folder, "packages/shop/src"), { recursive: true });
});
afterEach(() => rm(folder, { recursive: true }));

const rootOf = (path: string) => projectRoot(join(folder, path), "/started/here");

test("is the nearest folder above the main module that has a package.json", async () => {
  await Bun.write(join(folder, "package.json"), `{"name": "unrelated"}`);
  await Bun.write(join(folder, "packages/shop/package.json"), `{"name": "shop"}`);
  expect(rootOf("packages/shop/src/main.ts")).toBe(join(folder, "packages/shop"));
});

test("is in a monorepo the one that declares the workspaces", async () => {
  await Bun.write(join(folder, "package.json"), `{"workspaces": ["packages/*"]}`);
  await Bun.write(join(folder, "packages/shop/package.json"), `{"name": "shop"}`);
  expect(rootOf("packages/shop/src/main.ts")).toBe(folder);
});

test("is where the program was started if there is none, or none that can be read", async () => {
  await Bun.write(join(folder, "package.json"), "{");
  expect(rootOf("packages/shop/src/main.ts")).toBe("/started/here");
});
