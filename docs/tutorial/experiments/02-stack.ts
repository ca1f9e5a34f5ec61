// What an error's stack has in it, where one function on its way says `return` and where it says `return await`.
import { sleep } from "bun";

console.log("return:      ", await stackThrough(withReturn));
console.log("return await:", await stackThrough(withReturnAwait));

async function withReturn(): Promise<void> {
  return readOrder();
}

async function withReturnAwait(): Promise<void> {
  return await readOrder();
}

async function readOrder(): Promise<void> {
  await sleep(1);
  throw new Error("there is no such order");
}

async function handle(step: () => Promise<void>): Promise<void> {
  await step();
}

/** @returns the functions that are on the error's stack, the innermost first */
async function stackThrough(step: () => Promise<void>): Promise<string> {
  try {
    await handle(step);
    return "no error";
  } catch (error) {
    const names = [...String((error as Error).stack).matchAll(/at (?:async )?(\w+) /g)];
    return names.map(([, name]) => name).join(" ← ");
  }
}
