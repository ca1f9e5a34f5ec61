/** Running programs for a check's items: one system for all, and one for an item that wants its own. */
import { ReaderError, startSystem, type System, type SystemOptions } from "../system/index.ts";
import type { Trial } from "./stage-check.ts";

/** A {@link Trial}, as the engine sees it. */
export interface OwnedTrial extends Trial, AsyncDisposable {
  /** Why the shared system did not start: no item has anything to look at then. */
  readonly startFailure: ReaderError | undefined;
  /** Programs of the current item that ended by themselves. */
  crashes(): Promise<readonly ReaderError[]>;
  /** Ends what the item had for itself. */
  endItem(): Promise<void>;
}

/** A program's end is known a moment after what it made fail. */
const CRASH_KNOWN_MS = 600;

/** @param options of the shared system */
export function createTrial(options: SystemOptions): OwnedTrial {
  let shared: Promise<System> | undefined;
  let isSharedInUse = false;
  let own: Promise<System>[] = [];
  let startFailure: ReaderError | undefined;

  /** Gives the shared system as if it had just started. */
  const renewed = async (): Promise<System> => {
    const system = await shared;
    if (system?.isWhole) {
      await system.forget();
      return system;
    }
    await end([shared]);
    shared = startSystem(options);
    shared.catch((error: unknown) => {
      if (error instanceof ReaderError) startFailure = error;
    });
    return await shared;
  };

  return {
    get startFailure() {
      return startFailure;
    },
    async system(wanted) {
      options.signal?.throwIfAborted();
      if (wanted) {
        const { env, programs } = wanted;
        const system = startSystem({
          ...options,
          ...(env && { env }),
          ...(programs && { programs }),
        });
        own.push(system);
        return await system;
      }
      if (isSharedInUse && shared) return await shared;
      isSharedInUse = true;
      return await renewed();
    },
    async crashes() {
      await Bun.sleep(CRASH_KNOWN_MS);
      const systems = await running([...(isSharedInUse ? [shared] : []), ...own]);
      return systems.flatMap((system) => system.crashes());
    },
    async endItem() {
      const systems = own;
      own = [];
      isSharedInUse = false;
      await end(systems);
    },
    async [Symbol.asyncDispose]() {
      await end([...own, shared]);
    },
  };
}

/** @returns those that started; what is still starting is waited for */
async function running(systems: readonly (Promise<System> | undefined)[]): Promise<System[]> {
  const settled = await Promise.allSettled(systems);
  return settled.flatMap((one) => (one.status === "fulfilled" && one.value ? [one.value] : []));
}

async function end(systems: readonly (Promise<System> | undefined)[]): Promise<void> {
  await Promise.all((await running(systems)).map((system) => system[Symbol.asyncDispose]()));
}
