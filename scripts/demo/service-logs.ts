/** The services' log lines: each service's in a file of its own, and the worrying ones as text. */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { isAlive } from "../shared/is-alive.ts";

/** A file begins anew when it is this long: a demo may stay for days. */
const FILE_BYTES_MAX = 16 * 1024 ** 2;
/** Names the process of the demo whose files these are. */
const OWNER_FILE = "demo.pid";

export interface ServiceLogs {
  /** Adds a line to the service's file. */
  write(service: string, line: string): void;
  close(): void;
}

/**
 * Opens a file for each service; the last run's lines in it are gone then, those of a demo that
 * still runs are not.
 * @param say told why where files cannot be written, now or later: the disk is full, the checkout
 *   read-only, or the files are those of a run as root
 * @returns undefined where they cannot be: the demo does without
 */
export function openServiceLogs(
  folder: string,
  services: readonly string[],
  say: (text: string) => void,
): ServiceLogs | undefined {
  const files = new Map<string, { handle: number; bytes: number }>();
  const ownerFile = join(folder, OWNER_FILE);
  let isOwner = false;

  const close = () => {
    for (const { handle } of files.values()) closeSync(handle);
    files.clear();
    if (isOwner) rmSync(ownerFile, { force: true });
    isOwner = false;
  };
  const giveUp = (error: unknown) => {
    say(`the services' log lines are not kept: ${(error as Error).message}`);
    close();
  };

  try {
    mkdirSync(folder, { recursive: true });
    isOwner = !isOwned(ownerFile);
    if (isOwner) writeFileSync(ownerFile, String(process.pid));
    for (const service of services) {
      // Appending: a second demo on other ports writes to the same files, between our lines.
      const handle = openSync(join(folder, `${service}.log`), "a");
      files.set(service, { handle, bytes: 0 });
      if (isOwner) ftruncateSync(handle);
    }
  } catch (error) {
    giveUp(error);
    return undefined;
  }
  return {
    write(service, line) {
      const file = files.get(service);
      if (!file) return;
      try {
        if (file.bytes > FILE_BYTES_MAX) {
          ftruncateSync(file.handle);
          file.bytes = 0;
        }
        file.bytes += writeSync(file.handle, `${line}\n`);
      } catch (error) {
        giveUp(error);
      }
    },
    close,
  };
}

/** Whether a demo that still runs has these files. */
function isOwned(ownerFile: string): boolean {
  try {
    const pid = Number(readFileSync(ownerFile, "utf8"));
    // In a container a process often has the number of the one before it.
    return Number.isInteger(pid) && pid > 0 && pid !== process.pid && isAlive(pid);
  } catch {
    return false;
  }
}

const WORRY_CHARS_MAX = 300;
/** What every line has; the rest are the message's own fields. */
const STANDARD = /^(timestamp|level|message|service\.name|trace_id|span_id|trace_flags)$/;

/** @returns a short form of a line that a person should see: a warning, an error, or no log line at all */
export function worryIn(line: string): string | undefined {
  let entry: Record<string, unknown>;
  try {
    entry = Object(JSON.parse(line));
  } catch {
    return line.trim() === "" ? undefined : line;
  }
  if (entry["level"] !== "warn" && entry["level"] !== "error") return undefined;
  const fields = Object.entries(entry).filter(([name]) => !STANDARD.test(name));
  const details = fields.length > 0 ? ` ${JSON.stringify(Object.fromEntries(fields))}` : "";
  return `${entry["level"]}: ${String(entry["message"])}${details}`.slice(0, WORRY_CHARS_MAX);
}
