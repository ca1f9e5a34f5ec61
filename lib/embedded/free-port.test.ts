import { expect, test } from "bun:test";
import { freePort } from "./free-port.ts";

test("a free port can be listened on, and is none that a connection is given by chance", () => {
  const ports = Array.from({ length: 20 }, freePort);
  for (const port of ports) {
    using listener = Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } });
    expect(listener.port).toBe(port);
    expect(port).toBeLessThan(32_768);
  }
  // Two that look at a time rarely find the same.
  expect(new Set(ports).size).toBeGreaterThan(15);
});
