// Node's auto-instrumentation, by the book. Loaded before the program: `node --import`, `bun --preload`.
import { register } from "node:module";
import { HttpInstrumentation } from "@opentelemetry/instrumentation-http";
import { KafkaJsInstrumentation } from "@opentelemetry/instrumentation-kafkajs";
import { UndiciInstrumentation } from "@opentelemetry/instrumentation-undici";
import { NodeSDK } from "@opentelemetry/sdk-node";

// The hook for `import`. The one for `require` comes with the instrumentations.
register("@opentelemetry/instrumentation/hook.mjs", import.meta.url);

const sdk = new NodeSDK({
  instrumentations: [
    new HttpInstrumentation(), // node:http, both sides of it
    new UndiciInstrumentation(), // fetch, as Node has it
    new KafkaJsInstrumentation(),
  ],
});
sdk.start();
process.once("beforeExit", () => sdk.shutdown());
