import { afterEach, describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { callerLocation, locationFromStack, setCodeLocationEnabled } from "./code-location.ts";

afterEach(() => setCodeLocationEnabled(false));

const REPOSITORY = resolve(import.meta.dir, "../../..");
const stack = (...frames: string[]) =>
  ["Error: ", ...frames.map((frame) => `    at ${frame.replace("$", REPOSITORY)}`)].join("\n");
const location = (name: string, path: string, line: number) => ({
  "code.function.name": name,
  "code.file.path": path,
  "code.line.number": line,
});

describe("the line outside the telemetry layer", () => {
  test("is the nearest one in services/", () => {
    const found = locationFromStack(
      stack(
        "callerLocation ($/lib/telemetry/learning/code-location.ts:50:10)",
        "query ($/lib/telemetry/sql/sql.ts:90:5)",
        "onDatabase ($/lib/service/database.ts:53:18)",
        "getOrder ($/services/orders/repository.ts:130:22)",
        "async ($/services/orders/app.ts:30:9)",
      ),
    );
    expect(found).toEqual(location("getOrder", "services/orders/repository.ts", 130));
  });

  test("is in lib/ where no service is on the stack", () => {
    const found = locationFromStack(
      stack("inSpan ($/lib/telemetry/span.ts:40:3)", "run ($/lib/kafka/consumer.ts:12:3)"),
    );
    expect(found).toEqual(location("run", "lib/kafka/consumer.ts", 12));
  });

  test("is never in a package, in the runtime or outside the repository", () => {
    const found = locationFromStack(
      stack(
        "send ($/node_modules/kafkajs/src/producer/index.js:1:1)",
        "processTicksAndRejections (native:7:39)",
        "main (/somewhere/else/main.ts:1:1)",
      ),
    );
    expect(found).toBeUndefined();
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
    expect(locationFromStack(stack(frame))).toEqual(location(name, "services/orders/index.ts", 9));
  });

  test("is not asked for when locations are off", () => {
    setCodeLocationEnabled(false);
    expect(callerLocation()).toBeUndefined();
  });
});

test("a text that is no stack gives no location", () => {
  expect(locationFromStack("")).toBeUndefined();
  expect(locationFromStack("Error: at home (really)")).toBeUndefined();
});
