/** Whether a database lets a client in and answers it: what a start is waited for by. */
import { SQL } from "bun";

export async function sqlAnswers(url: string): Promise<boolean> {
  const sql = new SQL(url, { max: 1, connectionTimeout: 5 });
  try {
    await sql`SELECT 1`;
    return true;
  } catch {
    return false;
  } finally {
    await sql.close({ timeout: 0 });
  }
}
