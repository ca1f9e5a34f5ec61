// Tests of the slots.
import { expect, test } from "bun:test";
import { Slots } from "./slots.ts";

const never = new AbortController().signal;

/** Lets everything that is ready happen. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test("lets in as many as there are slots, the others in order of arrival", async () => {
  const slots = new Slots(2);
  const entered: number[] = [];
  for (const id of [1, 2, 3, 4]) void slots.acquire(never).then(() => entered.push(id));
  await settle();
  expect(entered).toEqual([1, 2]);
  slots.release();
  await settle();
  expect(entered).toEqual([1, 2, 3]);
  expect(slots.taken).toBe(2);
});

test("someone who gives up waiting leaves the line and takes no slot", async () => {
  const slots = new Slots(1);
  await slots.acquire(never);
  const impatient = new AbortController();
  const waiting = slots.acquire(impatient.signal);
  impatient.abort(new Error("enough"));
  await expect(waiting).rejects.toThrow("enough");
  slots.release();
  await slots.acquire(never);
  expect(slots.taken).toBe(1);
});

test("someone who waits for a time leaves the line at its end, and takes no slot", async () => {
  const slots = new Slots(1);
  await slots.acquireWithin(5, () => new Error("there is room"));
  const late = slots.acquireWithin(5, () => new Error("too late"));
  const patient = slots.acquireWithin(60_000, () => new Error("for ever"));
  await expect(late).rejects.toThrow("too late");
  slots.release();
  await patient;
  expect(slots.taken).toBe(1);
});

test("who comes with a signal that is aborted already takes no slot", async () => {
  const slots = new Slots(1);
  await expect(slots.acquire(AbortSignal.abort(new Error("late")))).rejects.toThrow("late");
  expect(slots.taken).toBe(0);
});

test("can be tried, without a wait and without passing those in line", async () => {
  const slots = new Slots(1);
  expect(slots.tryAcquire()).toBeTrue();
  expect(slots.tryAcquire()).toBeFalse();
  const waiting = slots.acquire(never);
  slots.release();
  expect(slots.tryAcquire()).toBeFalse();
  await waiting;
  slots.release();
  const end = slots.hold();
  expect(slots.tryAcquire()).toBeFalse();
  end();
  expect(slots.tryAcquire()).toBeTrue();
  expect(slots.taken).toBe(1);
});

test("lets nobody in until the last hold ends", async () => {
  const slots = new Slots(1);
  const [endFirst, endSecond] = [slots.hold(), slots.hold()];
  let hasEntered = false;
  void slots.acquire(never).then(() => (hasEntered = true));
  endFirst();
  endFirst(); // ending it twice must not end the other
  await settle();
  expect(hasEntered).toBeFalse();
  endSecond();
  await settle();
  expect(hasEntered).toBeTrue();
});

test("tells when all work is done, each time", async () => {
  const slots = new Slots(2);
  for (const _ of [1, 2]) {
    await slots.acquire(never);
    let isIdle = false;
    const idle = slots.idle().then(() => (isIdle = true));
    await settle();
    expect(isIdle).toBeFalse();
    slots.release();
    await idle;
  }
  await slots.idle();
  expect(slots.taken).toBe(0);
});
