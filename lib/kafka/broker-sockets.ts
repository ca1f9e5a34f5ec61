// Broker sockets: the connections of one Kafka client, each given up when its broker goes silent.
import { connect as connectTcp, isIP, Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import type { ISocketFactory } from "kafkajs";
import { logger } from "#lib/telemetry/logs/logger.ts";

/** The sockets of one client, and what is known of the brokers behind them. */
export interface BrokerSockets {
  /** Makes kafkajs's sockets. */
  readonly factory: ISocketFactory;
  /** The brokers that do not answer at present, as `host:port`, each with what is wrong. */
  readonly unreachable: ReadonlyMap<string, string>;
}

/** Limits, in milliseconds; replaced in tests. */
export interface BrokerSocketLimits {
  /** How often all connections are looked at. */
  readonly checkIntervalMs: number;
  /** A request that waits for longer makes us ask its broker whether it lives. */
  readonly askAfterMs: number;
  /** How long the broker has to say so, on a connection of its own. */
  readonly probeTimeoutMs: number;
  /**
   * A connection on which nothing has come for so long, though something was asked, is given up, also
   * where its broker lives: that one is dead. More than any request of ours may take.
   */
  readonly silenceMaxMs: number;
  /** A connection that was idle for longer is given up sooner: as soon as its broker is known to live. */
  readonly idleSuspectMs: number;
  /** How often a broker that does not answer is asked again. */
  readonly probeIntervalMs: number;
  /** For how long it is asked, after somebody last wanted to connect to it. */
  readonly forgetAfterMs: number;
}

const LIMITS: BrokerSocketLimits = {
  checkIntervalMs: 250,
  askAfterMs: 2_000,
  probeTimeoutMs: 2_000,
  silenceMaxMs: 13_000,
  idleSuspectMs: 30_000,
  probeIntervalMs: 500,
  forgetAfterMs: 60_000,
};

const STOOD_STILL_MS = 1_000;
const KEEP_ALIVE_DELAY_MS = 10_000;

/**
 * Makes the sockets of one client.
 *
 * kafkajs alone waits for its request timeout on a broker that is frozen or cut off, keeps the
 * connection, tries the same one again without asking who leads now, and waits for ever where the
 * broker falls silent while it authenticates. Here a request that takes long makes us ask the broker,
 * by an ApiVersions request on a connection of its own, whether it lives. Where it does not, all its
 * connections are closed as if the broker had closed them, which is what kafkajs handles well (it
 * asks another broker who leads now), and new ones are refused at once until the broker answers again.
 *
 * @param ssl as kafkajs is given it; undefined for plain connections
 */
export function createBrokerSockets(
  ssl?: ConnectionOptions,
  limits: BrokerSocketLimits = LIMITS,
): BrokerSockets {
  const brokers = new Map<string, BrokerConnections>();
  const unreachable = new Map<string, string>();

  return {
    unreachable,
    factory({ host, port, onConnect }) {
      const address = `${host}:${port}`;
      let broker = brokers.get(address);
      if (broker === undefined) {
        broker = new BrokerConnections(host, port, ssl, limits, unreachable);
        brokers.set(address, broker);
      }
      return broker.connect(onConnect);
    },
  };
}

/** What a probe may find: an answer, a closed door, or nothing at all. */
type Finding = "alive" | "refused" | "silent";

/** All connections of one client to one broker. */
class BrokerConnections {
  readonly #host: string;
  readonly #port: number;
  /** Read at each connection: its properties may be getters, of files that are rotated. */
  readonly #ssl: ConnectionOptions | undefined;
  readonly #limits: BrokerSocketLimits;
  readonly #unreachable: Map<string, string>;
  readonly #watched = new Set<WatchedSocket>();
  #timer: Timer | undefined;
  #checkedAtMs = 0;
  #isAsking = false;
  #wantedAtMs = 0;

  constructor(
    host: string,
    port: number,
    ssl: ConnectionOptions | undefined,
    limits: BrokerSocketLimits,
    unreachable: Map<string, string>,
  ) {
    this.#host = host;
    this.#port = port;
    this.#ssl = ssl;
    this.#limits = limits;
    this.#unreachable = unreachable;
  }

  connect(onConnect: () => void): Socket {
    this.#wantedAtMs = performance.now();
    const problem = this.#unreachable.get(this.#address);
    if (problem !== undefined) return refusingSocket(`${this.#address} ${problem}`);

    const socket = this.#open(() => {
      watched.connected();
      onConnect();
    });
    const watched = new WatchedSocket(socket);
    this.#watched.add(watched);
    socket.once("close", () => {
      this.#watched.delete(watched);
      if (this.#watched.size === 0) this.#stopChecking();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (watched.isConnected || error instanceof GivenUpError) return;
      this.#exclude(`cannot be reached (${error.code ?? error.message})`);
    });
    this.#startChecking();
    return socket;
  }

  get #address(): string {
    return `${this.#host}:${this.#port}`;
  }

  #open(onConnect: () => void): Socket {
    const target = { host: this.#host, port: this.#port };
    const servername = isIP(this.#host) ? {} : { servername: this.#host };
    const socket = this.#ssl
      ? connectTls({ ...target, ...servername, ...this.#ssl }, onConnect)
      : connectTcp(target, onConnect);
    socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
    return socket;
  }

  /** Looks at what waits for an answer. */
  #check(): void {
    const { askAfterMs, silenceMaxMs } = this.#limits;
    const nowMs = performance.now();
    // Where this process was the one that stood still, answers may be there and not read yet.
    const wasStill = nowMs - this.#checkedAtMs > STOOD_STILL_MS;
    this.#checkedAtMs = nowMs;
    let isLate = false;
    for (const watched of this.#watched) {
      if (wasStill) watched.waitAnew();
      const waitedMs = watched.waitedMs();
      if (waitedMs > silenceMaxMs) watched.giveUp(`nothing came for ${silenceMaxMs} ms`);
      else if (waitedMs > askAfterMs) isLate = true;
    }
    if (isLate && !this.#isAsking) void this.#ask();
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    const askedAtMs = performance.now();
    const finding = await this.#probe();
    this.#isAsking = false;
    if (finding !== "alive") {
      this.#exclude(finding === "silent" ? "does not answer" : "cannot be reached");
      return;
    }
    // The broker lives. A connection that has lain idle and is silent now was cut on its way, and need
    // not be waited for; on any other one the answer may just take its time.
    for (const watched of this.#watched) {
      const isSuspect = watched.idleBeforeMs > this.#limits.idleSuspectMs;
      if (isSuspect && watched.waitsSince(askedAtMs - this.#limits.askAfterMs)) {
        watched.giveUp("it was cut while it lay idle");
      }
    }
  }

  /** Gives up all connections, and refuses new ones until the broker answers. */
  #exclude(problem: string): void {
    if (this.#unreachable.has(this.#address)) return;
    this.#unreachable.set(this.#address, problem);
    logger.warn(`kafka: broker ${this.#address} ${problem}`);
    for (const watched of this.#watched) watched.giveUp(problem);
    void this.#readmit();
  }

  async #readmit(): Promise<void> {
    const { probeIntervalMs, forgetAfterMs } = this.#limits;
    do {
      // Not by Bun.sleep: a script that has ended its work does not wait for a broker.
      await new Promise<void>((resolve) => void setTimeout(resolve, probeIntervalMs).unref());
      // Nobody wants it any more: whoever does next finds out anew.
      if (performance.now() - this.#wantedAtMs > forgetAfterMs) break;
    } while ((await this.#probe()) !== "alive");
    this.#unreachable.delete(this.#address);
    logger.info(`kafka: broker ${this.#address} is tried again`);
  }

  /** Asks by ApiVersions (version 0), which every broker answers before any authentication. */
  async #probe(): Promise<Finding> {
    const { promise, resolve } = Promise.withResolvers<Finding>();
    let socket: Socket;
    try {
      socket = this.#open(() => socket.write(API_VERSIONS_REQUEST));
    } catch {
      return "refused"; // TLS's files cannot be read at the moment, say
    }
    const timer = setTimeout(() => resolve("silent"), this.#limits.probeTimeoutMs);
    socket.on("data", () => resolve("alive"));
    socket.on("error", () => resolve("refused"));
    socket.on("close", () => resolve("refused"));
    socket.unref();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      socket.destroy();
    }
  }

  #startChecking(): void {
    if (this.#timer !== undefined) return;
    this.#checkedAtMs = performance.now();
    this.#timer = setInterval(() => this.#check(), this.#limits.checkIntervalMs);
    this.#timer.unref();
  }

  #stopChecking(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** A socket of kafkajs's, with a note of since when it has waited for an answer. */
class WatchedSocket {
  readonly socket: Socket;
  isConnected = false;
  /** How long the connection had been idle when the request that now waits was sent. */
  idleBeforeMs = 0;
  #lastSignMs = performance.now();
  /** Undefined while nothing is waited for. To be connected is waited for, too. */
  #waitsSinceMs: number | undefined = performance.now();

  constructor(socket: Socket) {
    this.socket = socket;
    const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
    socket.write = (...args: unknown[]) => {
      if (this.#waitsSinceMs === undefined) {
        this.#waitsSinceMs = performance.now();
        this.idleBeforeMs = this.#waitsSinceMs - this.#lastSignMs;
      }
      return write(...args);
    };
    socket.on("data", () => this.#sign());
  }

  connected(): void {
    this.isConnected = true;
    this.#sign();
  }

  #sign(): void {
    this.#lastSignMs = performance.now();
    this.#waitsSinceMs = undefined;
  }

  /** How long something asked has waited for any answer; 0 where nothing waits. */
  waitedMs(): number {
    return this.#waitsSinceMs === undefined ? 0 : performance.now() - this.#waitsSinceMs;
  }

  /** Whether it has waited for an answer since a moment on the clock of performance.now(). */
  waitsSince(ms: number): boolean {
    return this.#waitsSinceMs !== undefined && this.#waitsSinceMs <= ms;
  }

  /** What waits begins to wait now. */
  waitAnew(): void {
    if (this.#waitsSinceMs !== undefined) this.#waitsSinceMs = performance.now();
  }

  /** Closes it, and tells kafkajs in the way in which it lets go of all that waits. */
  giveUp(reason: string): void {
    const { socket } = this;
    if (socket.destroyed) return;
    this.#waitsSinceMs = undefined;
    socket.destroy();
    // kafkajs listens to no `close`. Its `end` handler rejects what waits for an answer, also an
    // authentication, which its `error` handler forgets; and only the latter rejects a connect.
    if (this.isConnected) socket.emit("end");
    else socket.emit("error", new GivenUpError(reason));
  }
}

/** A connection that cannot be made, for kafkajs to handle as it handles all of those. */
function refusingSocket(problem: string): Socket {
  const socket = new Socket();
  process.nextTick(() => socket.emit("error", new GivenUpError(problem)));
  return socket;
}

/** We gave a connection up, or refused to make one. */
class GivenUpError extends Error {
  override readonly name = "GivenUpError";
  /** kafkajs tries on after this code, and not after others. */
  readonly code = "ECONNREFUSED";
}

/**
 * Request header version 1 and an empty body: size, API key 18, version 0, correlation id 0, client id "".
 * @see https://kafka.apache.org/protocol.html#The_Messages_ApiVersions
 */
const API_VERSIONS_REQUEST = Buffer.from([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 0, 0, 0]);
