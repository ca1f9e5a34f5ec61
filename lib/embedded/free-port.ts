/** A free TCP port that stays free until it is wanted. */

const HOST = "127.0.0.1";
/**
 * Systems hand out higher ones, Linux from 32768 and others from 49152: a port of those that nobody
 * listens on is soon the near end of some connection.
 */
const PORT_MIN = 20_000;
const PORT_MAX = 29_999;
const ATTEMPTS_MAX = 1_000;
/** By this process: whoever got one may not listen on it yet. */
const given = new Set<number>();

/**
 * Finds a port on 127.0.0.1 that nobody listens on, another one each time. It is nobody's reservation:
 * another program that looks for one at the same moment may be given the same, by chance.
 * @throws Error where none is found
 */
export function freePort(): number {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN + 1));
    if (given.has(port) || !isFree(port)) continue;
    given.add(port);
    return port;
  }
  throw new Error(`no free port was found between ${PORT_MIN} and ${PORT_MAX}`);
}

/** Whether nobody listens on a port of 127.0.0.1. */
export function isFree(port: number): boolean {
  try {
    Bun.listen({ hostname: HOST, port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}
