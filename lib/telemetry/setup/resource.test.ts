import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { diag, DiagLogLevel } from "@opentelemetry/api";
import { createResource } from "./resource.ts";

const SERVICE = { name: "orders", version: "1.2.3", namespace: "orderflow" };
const attributes = (env: Record<string, string>) => createResource(SERVICE, env).attributes;

const none = () => undefined;
let warnings: string[];
beforeEach(() => {
  warnings = [];
  const note = (message: string) => void warnings.push(message);
  diag.setLogger(
    { warn: note, error: note, info: none, debug: none, verbose: none },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
});
afterEach(() => diag.disable());

test("says who is speaking, with a new instance id each time", () => {
  const first = attributes({});
  expect(first).toMatchObject({
    "service.name": "orders",
    "service.version": "1.2.3",
    "service.namespace": "orderflow",
    "deployment.environment.name": "development",
    "process.pid": process.pid,
    "process.runtime.name": "bun",
    "process.runtime.version": Bun.version,
    "telemetry.sdk.name": "opentelemetry",
  });
  expect(first["service.instance.id"]).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(attributes({})["service.instance.id"]).not.toBe(first["service.instance.id"]);
});

test("OTEL_RESOURCE_ATTRIBUTES goes over our values, OTEL_SERVICE_NAME over both", () => {
  expect(
    attributes({
      OTEL_RESOURCE_ATTRIBUTES: "service.name=a, deployment.environment.name = prod ,x=1%2C2,",
      OTEL_SERVICE_NAME: "b",
    }),
  ).toMatchObject({ "service.name": "b", "deployment.environment.name": "prod", x: "1,2" });
});

describe("malformed OTEL_RESOURCE_ATTRIBUTES is left out whole, and said", () => {
  test.each(["a=1,broken", "a=1,=2", "a=1,b=2=3", "a=1,b=%ZZ", "a=1,b=%"])("%s", (text) => {
    const found = attributes({ OTEL_RESOURCE_ATTRIBUTES: text });
    expect(found["a"]).toBeUndefined();
    expect(found["service.name"]).toBe("orders");
    expect(warnings.join()).toContain("OTEL_RESOURCE_ATTRIBUTES");
  });
});
