import { afterEach, describe, expect, test } from "bun:test";
import { callerLocation, locationFromStack, setCodeLocationEnabled } from "./code-location.ts";

afterEach(() => setCodeLocationEnabled(false));

const ROOT = "/home/ann/shop";
const found = (frames: string[], layer = `${ROOT}/lib/telemetry`, preferred: string[] = []) => {
  const stack = frames.map((frame) => `    at ${frame.replace("$", ROOT)}`);
  return locationFromStack(["Error: ", ...stack].join("\n"), { layer, root: ROOT, preferred });
};
const location = (name: string, path: string, line: number) => ({
  "code.function.name": name,
  "code.file.path": path,
  "code.line.number": line,
});

describe("the line outside the telemetry layer", () => {
  const stack = [
    "callerLocation ($/lib/telemetry/learning/code-location.ts:50:10)",
    "query ($/lib/telemetry/sql/sql.ts:90:5)",
    "onDatabase ($/lib/service/database.ts:53:18)",
    "getOrder ($/services/orders/repository.ts:130:22)",
    "async ($/services/orders/app.ts:30:9)",
  ];

  test("is the nearest one", () => {
    expect(found(stack)).toEqual(location("onDatabase", "lib/service/database.ts", 53));
  });

  test("is the nearest one where the project prefers it, else the nearest one of all", () => {
    const layer = `${ROOT}/lib/telemetry`;
    expect(found(stack, layer, ["apps/", "services/"])).toEqual(
      location("getOrder", "services/orders/repository.ts", 130),
    );
    expect(found(stack, layer, ["apps/"])).toEqual(
      location("onDatabase", "lib/service/database.ts", 53),
    );
  });

  test.each([
    "/home/ann/shop/vendor/foo",
    "/home/ann/shop/node_modules/@orderflow/telemetry",
    "/home/ann/packages/telemetry",
    "/home/ann/shop/telemetry",
  ])("is known wherever the layer lies: %s", (layer) => {
    const own = [`query (${layer}/sql/sql.ts:90:5)`, "main ($/main.ts:3:1)"];
    expect(found(own, layer)).toEqual(location("main", "main.ts", 3));
  });

  test("may be in a folder whose name begins like the layer's", () => {
    const [frame, path] = ["$/lib/telemetry-demo/main.ts:3:1", "lib/telemetry-demo/main.ts"];
    expect(found([frame])).toEqual(location("<anonymous>", path, 3));
  });

  test("may be in another package of a monorepo, and in a project below somebody's node_modules", () => {
    const [frame, path] = ["/home/ann/shared/db.ts:3:1", "../shared/db.ts"];
    expect(found([frame])).toEqual(location("<anonymous>", path, 3));
    const root = "/srv/node_modules/shop";
    expect(
      locationFromStack(`Error\n    at ${root}/main.ts:3:1`, { layer: "/x", root, preferred: [] }),
    ).toEqual(location("<anonymous>", "main.ts", 3));
  });

  test("is never in a package or in the runtime", () => {
    const frames = [
      "send ($/node_modules/kafkajs/src/producer/index.js:1:1)",
      "hoisted (/home/ann/node_modules/kafkajs/src/producer/index.js:1:1)",
      "processTicksAndRejections (native:7:39)",
    ];
    expect(found(frames)).toBeUndefined();
  });

  test.each([
    ["$/services/orders/index.ts:9:1", "<anonymous>"],
    ["<anonymous> ($/services/orders/index.ts:9:1)", "<anonymous>"],
    ["module code ($/services/orders/index.ts:9:1)", "<anonymous>"],
    ["async settle ($/services/orders/index.ts:9:1)", "settle"],
    ["new Relay ($/services/orders/index.ts:9:1)", "Relay"],
    ["settle (file://$/services/orders/index.ts:9:1)", "settle"],
    ["settle ($/services/orders/index.ts:9)", "settle"],
  ])("is read from %s", (frame, name) => {
    expect(found([frame])).toEqual(location(name, "services/orders/index.ts", 9));
  });

  test("is not asked for when locations are off", () => {
    setCodeLocationEnabled(false);
    expect(callerLocation()).toBeUndefined();
  });
});

test("a text that is no stack gives no location", () => {
  const source = { layer: `${ROOT}/lib/telemetry`, root: ROOT, preferred: [] };
  expect(locationFromStack("", source)).toBeUndefined();
  expect(locationFromStack("Error: at home (really)", source)).toBeUndefined();
});
