import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { readMigrations, resolveMigrationsFolder } from "./migration-files.ts";

let folder = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "orderflow-migrations-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function writeFiles(...names: string[]): Promise<void> {
  for (const name of names) await writeFile(join(folder, name), "select 1;\n");
}

test("migrations run by number, not by the spelling of the file name", async () => {
  await writeFiles("10_last.up.sql", "9_middle.up.sql", "9_middle.down.sql", "000001_first.up.sql");

  expect(await readMigrations(folder)).toEqual([
    { version: 1, upFile: "000001_first.up.sql", downFile: null },
    { version: 9, upFile: "9_middle.up.sql", downFile: "9_middle.down.sql" },
    { version: 10, upFile: "10_last.up.sql", downFile: null },
  ]);
});

test("a README or a folder beside the migrations is left alone", async () => {
  await writeFiles("README.md", "000001_first.up.sql");
  await mkdir(join(folder, "000002_folder.up.sql"));

  expect((await readMigrations(folder)).map((migration) => migration.version)).toEqual([1]);
});

test("a link counts as the file that it leads to; one that leads to none is refused by name", async () => {
  await writeFiles("real.txt");
  await symlink(join(folder, "real.txt"), join(folder, "000001_link.up.sql"));
  expect((await readMigrations(folder)).map((migration) => migration.upFile)).toEqual([
    "000001_link.up.sql",
  ]);
  for (const target of [folder, join(folder, "nothing")]) {
    await symlink(target, join(folder, "000002_link.up.sql"));
    await expect(readMigrations(folder)).rejects.toThrow("000002_link.up.sql in");
    await rm(join(folder, "000002_link.up.sql"));
  }
});

test.each([
  ["no direction", "12_foo.sql"],
  ["no number", "create_orders.up.sql"],
  ["no name", "000001_.up.sql"],
  ["a wrong direction", "000001_first.sideways.sql"],
  ["an ending that golang-migrate would run", "000001_first.up.pgsql"],
  ["a number too large to count", "99999999999999999999_first.up.sql"],
])("a file name with %s is refused by name: %s", async (_what, fileName) => {
  await writeFiles(fileName);

  await expect(readMigrations(folder)).rejects.toThrow(
    `malformed migration file name ${fileName}:`,
  );
});

test.each([
  ["twice the same way", "000001_a.up.sql", "01_a.up.sql"],
  ["two names up", "000001_a.up.sql", "000001_b.up.sql"],
  ["one name up, another down", "000001_a.up.sql", "000001_b.down.sql"],
])("two files that claim one version are refused: %s", async (_what, first, second) => {
  await writeFiles(first, second);

  await expect(readMigrations(folder)).rejects.toThrow(
    `two migrations have version 1: ${first} and ${second}`,
  );
});

test("a way back without a way there is refused", async () => {
  await writeFiles("000001_a.down.sql");

  await expect(readMigrations(folder)).rejects.toThrow("000001_a.down.sql has no a.up.sql");
});

test("a missing folder is named", async () => {
  const missing = join(folder, "nowhere");

  await expect(readMigrations(missing)).rejects.toThrow(
    `cannot read the migrations folder ${missing} (ENOENT)`,
  );
});

test("MIGRATIONS_PATH may be a file URL as golang-migrate writes it, or a plain path", () => {
  expect(resolveMigrationsFolder("file://some/folder")).toBe(resolve("some/folder"));
  expect(resolveMigrationsFolder("file:///some/folder")).toBe("/some/folder");
  expect(resolveMigrationsFolder("file:///with%20space")).toBe("/with space");
  expect(resolveMigrationsFolder("some/folder")).toBe(resolve("some/folder"));
  expect(resolveMigrationsFolder("/some/100%/folder")).toBe("/some/100%/folder");
});

test("without MIGRATIONS_PATH the project's own migrations are meant, from any folder", () => {
  expect(resolveMigrationsFolder(undefined)).toBe(resolve(import.meta.dir, "../../migrations"));
});

test("a MIGRATIONS_PATH that is no file is refused", () => {
  expect(() => resolveMigrationsFolder("s3://bucket")).toThrow("MIGRATIONS_PATH");
  expect(() => resolveMigrationsFolder("file:///100%")).toThrow("MIGRATIONS_PATH is malformed");
});
