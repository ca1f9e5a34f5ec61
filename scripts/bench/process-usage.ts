// What a process has used so far, read from /proc; unknown on systems that have none.
import { readdir, readFile } from "node:fs/promises";

export interface ProcessUsage {
  cpuSeconds: number;
  rssBytes: number;
}

/** Linux counts a process's time in hundredths of a second, whatever the kernel's own clock does. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4_096;

/** @returns undefined where the process is gone, or the system has no /proc */
export async function usageOf(pid: number): Promise<ProcessUsage | undefined> {
  const stat = await readStat(pid);
  return stat && { cpuSeconds: stat.cpuSeconds, rssBytes: stat.rssBytes };
}

/**
 * What a server and its children have used, those that have ended included.
 * @param argument one of the server's own command line that no other process has, e.g. its port
 * @param program the name of the server's program
 */
export async function usageOfServer(
  program: string,
  argument: string,
): Promise<ProcessUsage | undefined> {
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  const stats = (await Promise.all(pids.map((pid) => readStat(Number(pid))))).filter(
    (stat) => !!stat,
  );
  for (const server of stats.filter(({ name }) => name === program)) {
    const line = await readFile(`/proc/${server.pid}/cmdline`, "utf8").catch(() => "");
    if (!line.split("\0").includes(argument)) continue;
    const children = stats.filter(({ parentPid }) => parentPid === server.pid);
    const all = [server, ...children];
    return {
      cpuSeconds:
        server.endedChildrenCpuSeconds + all.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
      rssBytes: all.reduce((sum, { rssBytes }) => sum + rssBytes, 0),
    };
  }
  return undefined;
}

/** @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
async function readStat(pid: number) {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  // The name in brackets may hold spaces; what follows it does not. Field 3 is the first of these.
  const nameEnd = text.lastIndexOf(")");
  const fields = text.slice(nameEnd + 2).split(" ");
  const field = (number: number) => Number(fields[number - 3]);
  return {
    pid,
    name: text.slice(text.indexOf("(") + 1, nameEnd),
    parentPid: field(4),
    cpuSeconds: (field(14) + field(15)) / TICKS_PER_SECOND,
    endedChildrenCpuSeconds: (field(16) + field(17)) / TICKS_PER_SECOND,
    rssBytes: field(24) * PAGE_BYTES,
  };
}
