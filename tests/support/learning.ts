/** Whether the layer's folder for learning is there; CI deletes it, and the folder for speed, and runs the traces' tests. */
import { existsSync } from "node:fs";
import { join } from "node:path";

/** Without it no span says which line made it, or which header it sent. */
export const HAS_LEARNING = existsSync(join(import.meta.dir, "../../lib/telemetry/learning"));
