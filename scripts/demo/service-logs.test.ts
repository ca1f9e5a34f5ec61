import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openServiceLogs, worryIn } from "./service-logs.ts";

describe("the log files", () => {
  let folder: string;
  const said: string[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "orderflow-logs-test-"));
    said.length = 0;
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const open = (place = folder) => openServiceLogs(place, ["orders"], (text) => said.push(text));
  const lines = () => readFile(join(folder, "orders.log"), "utf8");

  test("begin anew with each run", async () => {
    for (const line of ["first", "second"]) {
      const logs = open();
      logs?.write("orders", line);
      logs?.close();
    }
    expect(await lines()).toBe("second\n");
    expect(said).toEqual([]);
  });

  test("keep the lines of another demo that still runs", async () => {
    await writeFile(join(folder, "demo.pid"), String(process.ppid));
    await writeFile(join(folder, "orders.log"), "the other's\n");
    const logs = open();
    logs?.write("orders", "ours");
    logs?.close();
    expect(await lines()).toBe("the other's\nours\n");
    expect(await readFile(join(folder, "demo.pid"), "utf8")).toBe(String(process.ppid));
  });

  test("begin anew where that other demo was killed", async () => {
    const gone = Bun.spawn(["true"]);
    await gone.exited;
    await writeFile(join(folder, "demo.pid"), String(gone.pid));
    await writeFile(join(folder, "orders.log"), "the other's\n");
    open()?.close();
    expect(await lines()).toBe("");
  });

  test("are done without where they cannot be written, and it is said", async () => {
    await writeFile(join(folder, "file"), "");
    expect(open(join(folder, "file", "logs"))).toBeUndefined();
    expect(said).toEqual([expect.stringContaining("log lines are not kept: ENOTDIR")]);
  });

  test.if(process.platform === "linux")(
    "are given up where the disk is full, once, and it is said",
    async () => {
      await symlink("/dev/full", join(folder, "orders.log"));
      await writeFile(join(folder, "demo.pid"), String(process.ppid)); // so that it is only written to
      const logs = open();
      logs?.write("orders", "a line");
      logs?.write("orders", "another");
      logs?.close();
      expect(said).toEqual([expect.stringContaining("log lines are not kept: ENOSPC")]);
    },
  );
});

const line = (fields: Record<string, unknown>) =>
  JSON.stringify({
    timestamp: "2026-01-01T00:00:00.000Z",
    level: "info",
    message: "ready",
    "service.name": "orders",
    ...fields,
  });

test("a warning is shown with its own fields, without what every line has", () => {
  const text = worryIn(line({ level: "warn", message: "events wait", error: { type: "Gone" } }));
  expect(text).toBe('warn: events wait {"error":{"type":"Gone"}}');
});

test("an error without fields is shown as it is", () => {
  expect(worryIn(line({ level: "error", message: "request failed", trace_id: "ab" }))).toBe(
    "error: request failed",
  );
});

test("what is said in passing is not shown", () => {
  expect(worryIn(line({}))).toBeUndefined();
  expect(worryIn("")).toBeUndefined();
});

test("what is no log line, as a crash's words, is shown", () => {
  expect(worryIn("panic: out of memory")).toBe("panic: out of memory");
});

test("a line is shown up to a bound", () => {
  expect(worryIn(line({ level: "warn", message: "x".repeat(5_000) }))?.length).toBe(300);
});
