/** Whether a process still runs. */
import { readFileSync } from "node:fs";

/**
 * @returns whether a process of that id runs, whoever's it is; one that has ended does not, even where
 *   its parent never asks how, as that of a container may not
 */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as { code?: unknown }).code === "EPERM";
  }
  try {
    return !/^\d+ \(.*\) Z /s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    // No Linux, or it has ended this moment: whoever waits asks again.
    return true;
  }
}
