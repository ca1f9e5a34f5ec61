import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createMigration } from "./create.ts";

let folder = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "orderflow-migrations-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

test("a new migration gets the next number, six digits wide, and both ways", async () => {
  await createMigration({ name: "first", migrationsPath: folder });
  const second = await createMigration({ name: "add_new_table", migrationsPath: folder });

  expect(second.upPath).toBe(join(folder, "000002_add_new_table.up.sql"));
  expect(second.downPath).toBe(join(folder, "000002_add_new_table.down.sql"));
  expect((await readdir(folder)).sort()).toEqual([
    "000001_first.down.sql",
    "000001_first.up.sql",
    "000002_add_new_table.down.sql",
    "000002_add_new_table.up.sql",
  ]);
});

test.each(["", "Add", "add-table", "../add", "add table"])(
  "a name that would not make a clean file name is refused: %j",
  async (name) => {
    await expect(createMigration({ name, migrationsPath: folder })).rejects.toThrow(
      "a migration's name",
    );
    expect(await readdir(folder)).toEqual([]);
  },
);
