// Which span is the active one in a callback: the one of whoever calls it, not of whoever wrote it.
import { EventEmitter } from "node:events";
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace-base";

trace.setGlobalTracerProvider(new BasicTracerProvider());
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
const tracer = trace.getTracer("tutorial");

// None of these is begun in a span.
const bus = new EventEmitter().on("order", () => tell("a listener, when A emits"));
const queue: (() => void)[] = [];
const timer = setInterval(() => queue.splice(0).forEach((work) => work()), 1);

await inSpan("A", async () => {
  await Bun.sleep(1);
  tell("after an await");
  await Promise.resolve().then(() => tell("in a then"));
  await new Promise<void>((done) => setTimeout(() => done(tell("in a setTimeout")), 1));
  bus.emit("order");
  bus.on("late", () => tell("a listener that A added, when nobody of A's emits"));
  queue.push(() => tell("in A's queue, which a timer empties"));
  queue.push(context.bind(context.active(), () => tell("the same with context.bind")));
  await Bun.sleep(20);
});
bus.emit("late");
clearInterval(timer);

// Whoever comes first empties the queue, for all who come meanwhile: B's work is done in A.
let emptying: Promise<void> | undefined;
await Promise.all([
  inSpan("A", () => enqueue(() => tell("A's work, in a queue that A empties"))),
  inSpan("B", () => enqueue(() => tell("B's work, in a queue that A empties"))),
]);

async function enqueue(work: () => void): Promise<void> {
  queue.push(work);
  emptying ??= Bun.sleep(1).then(() => queue.splice(0).forEach((each) => each()));
  await emptying;
}

async function inSpan<T>(name: string, work: () => Promise<T>): Promise<T> {
  return await tracer.startActiveSpan(name, async (span) => {
    try {
      return await work();
    } finally {
      span.end();
    }
  });
}

function tell(where: string): void {
  const span = trace.getActiveSpan() as unknown as ReadableSpan | undefined;
  console.log(where.padEnd(50), span?.name ?? "no span");
}
