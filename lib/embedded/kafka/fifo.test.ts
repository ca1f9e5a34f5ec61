// The queue behind logs and retention.
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { Fifo } from "./fifo.ts";

test("behaves like an array under any mix of pushes and shifts", () => {
  // Long runs of one kind, so that the queue also cuts off its dead part.
  const runs = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 1_500 })), {
    maxLength: 8,
  });
  fc.assert(
    fc.property(runs, (steps) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      let next = 0;
      for (const [isPush, count] of steps) {
        for (let done = 0; done < count; done++) {
          if (isPush) {
            fifo.push(next);
            model.push(next);
            next += 1;
          } else {
            expect(fifo.shift()).toBe(model.shift());
          }
        }
        expect(fifo.length).toBe(model.length);
        expect(fifo.at(0)).toBe(model[0]);
        expect(fifo.at(model.length - 1)).toBe(model.at(-1));
        expect(fifo.at(model.length)).toBeUndefined();
      }
    }),
    { numRuns: 50 },
  );
});
