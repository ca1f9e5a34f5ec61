/** The services' log lines: each service's in a file of its own, and the worrying ones as text. */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";

/** A file begins anew when it is this long: a demo may stay for days. */
const FILE_BYTES_MAX = 16 * 1024 ** 2;

export interface ServiceLogs {
  /** Adds a line to the service's file. */
  write(service: string, line: string): void;
  close(): void;
}

/**
 * Opens a file for each service; the last run's lines in it are gone then.
 * @throws the system's error where the folder or a file cannot be written
 */
export function openServiceLogs(folder: string, services: readonly string[]): ServiceLogs {
  mkdirSync(folder, { recursive: true });
  const files = new Map<string, { handle: number; bytes: number }>();
  for (const service of services) {
    // Appending: a second demo on other ports writes to the same files, between our lines.
    const handle = openSync(join(folder, `${service}.log`), "a");
    ftruncateSync(handle);
    files.set(service, { handle, bytes: 0 });
  }
  return {
    write(service, line) {
      const file = files.get(service);
      if (!file) return;
      if (file.bytes > FILE_BYTES_MAX) {
        ftruncateSync(file.handle);
        file.bytes = 0;
      }
      file.bytes += writeSync(file.handle, `${line}\n`);
    },
    close() {
      for (const { handle } of files.values()) closeSync(handle);
      files.clear();
    },
  };
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
