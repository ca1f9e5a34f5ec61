/**
 * A TCP proxy of the tests' own: what a network does to connections, done on purpose and to each
 * connection by itself. By hand: `bun tests/support/tcp-proxy.ts 5432` tells where it listens.
 */
import {
  createConnection,
  createServer,
  type AddressInfo,
  type Server,
  type Socket,
} from "node:net";

/** What can be done to a connection. Done to the proxy, it is done to all that are open now. */
export interface Disturbance {
  /**
   * Nothing is heard any more, in either direction, and nothing is closed: a cable pulled, a dropped
   * NAT entry, an address that moved. One side's FIN or RST does not reach the other either.
   */
  silence(): void;
  /** Ends the silence; what was sent meanwhile arrives now, as it would by TCP's retransmission. */
  resume(): void;
  /** Ends it on both sides with an RST. */
  reset(): void;
  /** Ends it on both sides with a FIN, after what is under way. */
  close(): void;
  /** Everything arrives so much later, in either direction; 0 for at once. */
  delay(ms: number): void;
  /** Arrives so many bytes at a time, with a pause after each; undefined for as it comes. */
  drip(pace: { readonly bytes: number; readonly pauseMs: number } | undefined): void;
}

/** One connection through the proxy. */
export interface ProxiedConnection extends Disturbance {
  /** Counted from 1, in order of arrival. */
  readonly id: number;
  /** The proxy's port on the way to the server, which is the client's port as the server sees it. */
  readonly upstreamPort: number | undefined;
  /** Whether the client has neither closed nor reset it. */
  readonly isOpen: boolean;
}

/** A proxy that listens. */
export interface TcpProxy extends Disturbance {
  /** Its port on 127.0.0.1; stays the same, whatever is done. */
  readonly port: number;
  /** Those that the client has not closed, oldest first. */
  readonly connections: readonly ProxiedConnection[];
  /** How many connections were made so far. */
  readonly acceptedCount: number;
  /** New connections: led on, refused (ECONNREFUSED), or taken and never answered. @default "forward" */
  onNew(what: "forward" | "refuse" | "silence"): Promise<void>;
  /** Where new connections lead from now on: the address has moved. */
  switchTo(upstream: Upstream): void;
  /** Ends everything. Safe to call again. */
  stop(): Promise<void>;
}

/** A server. @default host 127.0.0.1 */
export interface Upstream {
  readonly host?: string;
  readonly port: number;
}

const HOST = "127.0.0.1";
/** What a silent or slow connection keeps for later; a test that sends more has gone wrong. */
const HELD_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Starts a proxy. `delay` and `drip` of the proxy hold for new connections, too.
 * @param upstream where connections lead, until `switchTo`
 * @param port to listen on, on 127.0.0.1; 0 for a free one
 * @param onClientBytes told of what clients send, as it comes
 */
export async function startTcpProxy(
  upstream: Upstream,
  port = 0,
  onClientBytes?: (connectionId: number, bytes: Buffer) => void,
): Promise<TcpProxy> {
  const all = new Set<Connection>();
  let target = upstream;
  let newOnes: "forward" | "refuse" | "silence" = "forward";
  let acceptedCount = 0;
  let delayMs = 0;
  let pace: Pace | undefined;
  let server: Server | undefined;

  const accept = (client: Socket) => {
    acceptedCount += 1;
    const id = acceptedCount;
    if (onClientBytes) client.on("data", (bytes: Buffer) => onClientBytes(id, bytes));
    const connection = new Connection(id, client, target, () => all.delete(connection));
    connection.delay(delayMs);
    connection.drip(pace);
    if (newOnes === "silence") connection.silence();
    all.add(connection);
  };
  const listen = async () => {
    server = createServer({ allowHalfOpen: true, noDelay: true }, accept);
    const listening = Promise.withResolvers<void>();
    server.once("error", listening.reject);
    server.listen(port, HOST, () => listening.resolve());
    await listening.promise;
    port = (server.address() as AddressInfo).port;
  };
  const stopListening = () => {
    server?.close();
    server = undefined;
  };
  await listen();

  return {
    get port() {
      return port;
    },
    get connections() {
      return [...all].filter(({ isOpen }) => isOpen);
    },
    get acceptedCount() {
      return acceptedCount;
    },
    silence: () => all.forEach((one) => one.silence()),
    resume: () => all.forEach((one) => one.resume()),
    reset: () => all.forEach((one) => one.reset()),
    close: () => all.forEach((one) => one.close()),
    delay(ms) {
      delayMs = ms;
      all.forEach((one) => one.delay(ms));
    },
    drip(newPace) {
      pace = newPace;
      all.forEach((one) => one.drip(newPace));
    },
    async onNew(what) {
      newOnes = what;
      if (what === "refuse") stopListening();
      else if (!server) await listen();
    },
    switchTo(moved) {
      target = moved;
    },
    async stop() {
      stopListening();
      for (const one of all) one.reset();
    },
  };
}

type Pace = { readonly bytes: number; readonly pauseMs: number };

class Connection implements ProxiedConnection {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #ways: readonly [Way, Way];
  readonly #onGone: () => void;
  #isSilent = false;

  constructor(
    readonly id: number,
    client: Socket,
    { host = HOST, port }: Upstream,
    onGone: () => void,
  ) {
    this.#client = client;
    this.#server = createConnection({ host, port, allowHalfOpen: true, noDelay: true });
    this.#onGone = onGone;
    this.#ways = [new Way(client, this.#server), new Way(this.#server, client)];
    for (const [socket, other] of [
      [client, this.#server],
      [this.#server, client],
    ] as const) {
      socket.on("error", () => this.#isSilent || other.resetAndDestroy());
      socket.on("close", () => this.#forgetIfGone());
    }
  }

  get upstreamPort() {
    return this.#server.localPort;
  }

  get isOpen() {
    return !this.#client.destroyed && !this.#ways[0].hasEnded;
  }

  silence() {
    this.#isSilent = true;
    for (const way of this.#ways) way.hold();
  }

  resume() {
    this.#isSilent = false;
    for (const way of this.#ways) way.resume();
    // What one side did in the silence and the other did not hear.
    if (this.#client.destroyed) this.#server.resetAndDestroy();
    if (this.#server.destroyed) this.#client.resetAndDestroy();
  }

  reset() {
    this.#isSilent = false;
    for (const socket of [this.#client, this.#server]) socket.resetAndDestroy();
    this.#onGone();
  }

  close() {
    for (const way of this.#ways) way.push("end");
  }

  delay(ms: number) {
    for (const way of this.#ways) way.delayMs = ms;
  }

  drip(pace: Pace | undefined) {
    for (const way of this.#ways) way.pace = pace;
  }

  #forgetIfGone() {
    if (this.#client.destroyed && this.#server.destroyed) this.#onGone();
  }
}

/** One direction of a connection. */
class Way {
  delayMs = 0;
  pace: Pace | undefined;
  hasEnded = false;
  readonly #to: Socket;
  readonly #held: { what: Buffer | "end"; atMs: number }[] = [];
  #heldBytes = 0;
  #isHolding = false;
  #timer: Timer | undefined;

  constructor(from: Socket, to: Socket) {
    this.#to = to;
    from.on("data", (bytes: Buffer) => this.push(bytes));
    from.on("end", () => {
      this.hasEnded = true;
      this.push("end");
    });
  }

  push(what: Buffer | "end") {
    this.#heldBytes += what.length;
    if (this.#heldBytes > HELD_BYTES_MAX) throw new Error("the proxy holds too much");
    this.#held.push({ what, atMs: performance.now() });
    this.#pump();
  }

  hold() {
    this.#isHolding = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  resume() {
    this.#isHolding = false;
    this.#pump();
  }

  /** Sends what is due; a timer is set for the rest. */
  #pump() {
    while (!this.#isHolding && this.#timer === undefined) {
      const next = this.#held[0];
      if (!next) return;
      const waitMs = next.atMs + this.delayMs - performance.now();
      if (waitMs > 0) return this.#pumpIn(waitMs);
      if (next.what === "end") {
        this.#held.shift();
        this.#to.end();
        continue;
      }
      const count = Math.min(this.pace?.bytes ?? next.what.length, next.what.length);
      this.#to.write(next.what.subarray(0, count));
      this.#heldBytes -= count;
      if (count === next.what.length) this.#held.shift();
      else next.what = next.what.subarray(count);
      if (this.pace) this.#pumpIn(this.pace.pauseMs);
    }
  }

  #pumpIn(ms: number) {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#pump();
    }, ms);
  }
}

if (import.meta.main) {
  const proxy = await startTcpProxy({ port: Number(Bun.argv[2] ?? 5432) });
  console.log(`127.0.0.1:${proxy.port} leads to 127.0.0.1:${Bun.argv[2] ?? 5432}`);
}
