import { describe, expect, test } from "bun:test";
import { BadInputError, PayloadTooLargeError } from "./errors.ts";
import { BODY_BYTES_MAX, readJsonBody } from "./json-body.ts";

const request = (body: RequestInit["body"], headers: Record<string, string> = {}) =>
  new Request("http://host/", { method: "POST", body, headers });

/** A body in chunks, which counts how many of them were asked for. */
function chunked(chunks: number, bytes: number) {
  const asked = { chunks: 0 };
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (asked.chunks === chunks) return controller.close();
      asked.chunks++;
      controller.enqueue(new Uint8Array(bytes).fill(32));
    },
  });
  return { stream, asked };
}

describe("a JSON body", () => {
  test("may be any JSON, with white space and without a Content-Type", async () => {
    for (const value of [null, 1, "ü😀", [], { a: [1, { b: "c" }] }]) {
      expect(await readJsonBody(request(` ${JSON.stringify(value)}\n`))).toEqual(value);
    }
  });

  test.each(["", " \n", "{", "[1,]", "{'a':1}", "NaN", "1 2", "undefined"])(
    "that reads %p is bad input",
    async (text) => {
      await expect(readJsonBody(request(text))).rejects.toBeInstanceOf(BadInputError);
    },
  );

  test("that is not UTF-8 is bad input", async () => {
    const body = new Uint8Array([0x22, 0xff, 0x22]);
    await expect(readJsonBody(request(body))).rejects.toThrow("UTF-8");
  });

  test("whose fields are named as an object's own machinery does no harm", async () => {
    const body = (await readJsonBody(request('{"__proto__":{"admin":true}}'))) as object;
    expect("admin" in body).toBe(false);
    expect("admin" in {}).toBe(false);
  });

  test("that is nested too deep is bad input, brackets in texts do not count", async () => {
    await expect(readJsonBody(request("[".repeat(100_000)))).rejects.toBeInstanceOf(BadInputError);
    const text = `${'"\\" ['.repeat(1)}${"[{".repeat(500)}"`;
    expect(await readJsonBody(request(text))).toBe(JSON.parse(text));
  });

  test("may be 1 MiB long, and not one byte longer", async () => {
    const fits = `"${"x".repeat(BODY_BYTES_MAX - 2)}"`;
    expect(await readJsonBody(request(fits))).toHaveLength(BODY_BYTES_MAX - 2);
    await expect(readJsonBody(request(`${fits} `))).rejects.toBeInstanceOf(PayloadTooLargeError);
  });

  test("that is announced as too long is refused before it is read", async () => {
    const { stream, asked } = chunked(100, 65_536);
    const headers = { "content-length": String(BODY_BYTES_MAX + 1) };
    await readJsonBody(request(stream, headers)).then(
      () => expect.unreachable(),
      (error: unknown) => expect(error).toBeInstanceOf(PayloadTooLargeError),
    );
    expect(asked.chunks).toBeLessThanOrEqual(1);
  });

  test("in chunks is refused as soon as it is too long, without reading the rest", async () => {
    const { stream, asked } = chunked(1_000, 65_536);
    await readJsonBody(request(stream)).then(
      () => expect.unreachable(),
      (error: unknown) => expect(error).toBeInstanceOf(PayloadTooLargeError),
    );
    expect(asked.chunks).toBeLessThan(30);
  });

  test("tells how long it is: as announced, else chunk by chunk", async () => {
    const told: number[] = [];
    const note = (bytes: number) => void told.push(bytes);
    await readJsonBody(request("[1,2]", { "content-length": "5" }), note);
    expect(told.splice(0)).toEqual([5]);
    await readJsonBody(request(chunked(3, 4).stream), note).catch(() => undefined);
    expect(told).toEqual([4, 4, 4]);
  });
});
