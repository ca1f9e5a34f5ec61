// Whom to run servers as that refuse to run as root.
import { readFile } from "node:fs/promises";

/** An operating-system user, as Bun.spawn takes it. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** @returns undefined where the current user will do. @throws Error where root finds no other user */
export async function unprivilegedAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  for (const name of ["postgres", "nobody"]) {
    const user = users.find((fields) => fields[0] === name);
    if (user) return { uid: Number(user[2]), gid: Number(user[3]) };
  }
  throw new Error("there is no user `postgres` or `nobody` to run the server as");
}
