/** Restarts a service when its files change, for `bun run dev`. */
import { watch } from "node:fs";
import { join, sep } from "node:path";
import type { RunningServices } from "#lib/embedded/services.ts";
import { SERVICE_NAMES, type ServiceName } from "#lib/service/services.ts";
import { inSeconds } from "../shared/figures.ts";

const ROOT = join(import.meta.dir, "../..");
/** An editor, or a formatter after it, writes several times. */
const SETTLE_MS = 150;

/**
 * Watches `services/` and `lib/`.
 * @param say told what happens
 * @returns ends the watching, and the telling; a restart that is under way goes on
 */
export function watchFiles(services: RunningServices, say: (line: string) => void): () => void {
  const changed = new Set<ServiceName>();
  let timer: Timer | undefined;
  let isRestarting = false;
  const closed = new AbortController();

  // A restart that the end of all cuts off is nothing to tell of.
  const tell = (line: string) => {
    if (!closed.signal.aborted) say(line);
  };
  const note = (path: string) => {
    for (const name of affectedServices(path)) changed.add(name);
    if (changed.size === 0 || isRestarting) return;
    clearTimeout(timer);
    timer = setTimeout(restartChanged, SETTLE_MS);
  };
  async function restartChanged(): Promise<void> {
    isRestarting = true;
    while (changed.size > 0 && !closed.signal.aborted) {
      const names = [...changed];
      changed.clear();
      await Promise.all(names.map((name) => restart(services, name, tell)));
    }
    isRestarting = false;
  }

  const watchers = ["services", "lib"].map((folder) =>
    watch(join(ROOT, folder), { recursive: true }, (_, file) => {
      if (file !== null) note(join(folder, file));
    }),
  );
  return () => {
    closed.abort();
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

/**
 * @param path relative to the project's root
 * @returns the services that run this file
 */
export function affectedServices(path: string): readonly ServiceName[] {
  if (!path.endsWith(".ts") || path.endsWith(".test.ts")) return [];
  const [folder, part] = path.split(sep);
  // The stand-ins run in the demo's own process.
  if (folder === "lib") return part === "embedded" ? [] : SERVICE_NAMES;
  return SERVICE_NAMES.filter((name) => folder === "services" && name === part);
}

async function restart(
  services: RunningServices,
  name: ServiceName,
  say: (line: string) => void,
): Promise<void> {
  const startMs = performance.now();
  try {
    await services.restart(name);
    say(`${name} restarted, ready after ${inSeconds(performance.now() - startMs)}`);
  } catch (error) {
    say(
      `${error instanceof Error ? error.message : String(error)}\n  the next change starts it again`,
    );
  }
}
