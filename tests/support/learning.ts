/** Whether the layer's folder for learning is there; CI deletes it, and the folder for speed, and runs the traces' tests. */
import { existsSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join(import.meta.dir, "../../lib/telemetry/learning");

/** Without it no span says which line made it, or which header it sent. */
export const HAS_LEARNING = existsSync(FOLDER);

/** The folder's switch. @throws where the folder is not there */
export async function codeLocations(): Promise<{ setCodeLocationEnabled(on: boolean): void }> {
  // A path that is put together: the types hold where the folder was deleted as well.
  return await import(join(FOLDER, "code-location.ts"));
}
