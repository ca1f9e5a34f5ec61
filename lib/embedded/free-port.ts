/** A free TCP port that stays free until it is wanted. */

const HOST = "127.0.0.1";
/**
 * Systems hand out higher ones, Linux from 32768 and others from 49152: a port of those that nobody
 * listens on is soon the near end of some connection.
 */
const PORT_MIN = 20_000;
const PORT_MAX = 29_999;
const ATTEMPTS_MAX = 1_000;

/**
 * Finds a port on 127.0.0.1 that nobody listens on. It is nobody's reservation: another program that
 * looks for one at the same moment may be given the same, by chance.
 * @throws Error where none is found
 */
export function freePort(): number {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN + 1));
    if (isFree(port)) return port;
  }
  throw new Error(`no free port was found between ${PORT_MIN} and ${PORT_MAX}`);
}

function isFree(port: number): boolean {
  try {
    Bun.listen({ hostname: HOST, port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}
