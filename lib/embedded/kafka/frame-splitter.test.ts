// Cutting a byte stream into frames.
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { MalformedRequestError } from "./errors.ts";
import { FrameSplitter } from "./frame-splitter.ts";

test("gives the same frames however the network cut the stream", () => {
  const streams = fc.tuple(
    fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 20 }),
    fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 20 }),
  );
  fc.assert(
    fc.property(streams, ([bodies, cuts]) => {
      const stream = Buffer.concat(bodies.map(withLength));
      const splitter = new FrameSplitter(300);
      const frames: Buffer[] = [];
      let position = 0;
      for (let turn = 0; position < stream.length; turn++) {
        const size = cuts[turn % cuts.length] ?? 1;
        splitter.push(stream.subarray(position, position + size));
        position += size;
        for (let frame = splitter.next(); frame; frame = splitter.next()) frames.push(frame);
      }
      // Compared at the end: a frame must stay as it is while later ones arrive.
      expect(frames.map((frame) => new Uint8Array(frame))).toEqual(bodies);
      expect(splitter.bufferedBytes).toBe(0);
    }),
  );
});

test("keeps frames valid when a stream is longer than one block of memory", () => {
  const bodies = Array.from({ length: 40 }, (_, index) => Buffer.alloc(10_000, index));
  const stream = Buffer.concat(bodies.map(withLength));
  const splitter = new FrameSplitter(10_000);
  const frames: Buffer[] = [];
  for (let position = 0; position < stream.length; position += 7_001) {
    splitter.push(stream.subarray(position, position + 7_001));
    for (let frame = splitter.next(); frame; frame = splitter.next()) frames.push(frame);
  }
  expect(frames).toHaveLength(40);
  expect(frames.every((frame, index) => frame.equals(bodies[index] ?? Buffer.alloc(0)))).toBe(true);
});

test.each([0, -1, -2_147_483_648, 101, 2_147_483_647])("refuses a frame of %d bytes", (length) => {
  const splitter = new FrameSplitter(100);
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(length);
  splitter.push(bytes);
  expect(() => splitter.next()).toThrow(MalformedRequestError);
});

function withLength(body: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length);
  return Buffer.concat([length, body]);
}
