import { expect, test } from "bun:test";
import { shapeOf } from "./shape.ts";
import { withTreeShapes } from "./tree-shape.ts";

const DRAWN = `POST http://localhost:4000/orders

trace e388948763bd782ec2a0704e55b6b85e  6 spans, 3 services, 113.6 ms
                       0 ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 113.6 ms
gateway POST /orders   ███████████████        33.7 ms
orders  ├ ✗ INSERT     ▏                       674 µs
        │ duplicate key
orders  ├ create         █                     2.2 ms
worker  │ └ process      █████                11.5 ms
orders  └ COMMIT          ▏                    787 µs
orders  ? lost                         ▏       340 µs
? its parent is not in this trace

worker  confirmed
`;

test("a drawn trace becomes a tree of names, and all around it stays", () => {
  expect(withTreeShapes(DRAWN)).toBe(`POST http://localhost:4000/orders

trace e388948763bd782ec2a0704e55b6b85e  6 spans, 3 services, 113.6 ms
gateway POST /orders
  orders COMMIT
  orders create
    worker process
  orders ✗ INSERT: duplicate key
orders ? lost
? its parent is not in this trace

worker  confirmed
`);
});

test("siblings in another order are the same tree", () => {
  const insert = "orders  ├ ✗ INSERT     ▏                       674 µs\n        │ duplicate key\n";
  const create = `orders  ├ create         █                     2.2 ms
worker  │ └ process      █████                11.5 ms
`;
  const other = DRAWN.replace(insert + create, create + insert);
  expect(other).not.toBe(DRAWN);
  expect(shapeOf(other)).toBe(shapeOf(DRAWN));
});

test("a span below another parent is another tree", () => {
  expect(shapeOf(DRAWN.replace("│ └ process  ", "├ process    "))).not.toBe(shapeOf(DRAWN));
  expect(shapeOf(DRAWN.replace("├ create  ", "│ └ create"))).not.toBe(shapeOf(DRAWN));
});
