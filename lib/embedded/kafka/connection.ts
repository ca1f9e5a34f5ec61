// One client's connection: requests in, responses out in the same order, one at a time.
import type { Socket } from "node:net";
import type { BrokerState, ClientConnection } from "./api.ts";
import { handleRequest } from "./dispatch.ts";
import { MalformedRequestError } from "./errors.ts";
import { FrameSplitter } from "./frame-splitter.ts";
import { limits } from "./limits.ts";

// After so many requests in a row, other connections get their turn.
const REQUESTS_PER_TURN = 64;

/**
 * Serves a connection until it ends. The next request is taken up when the response before it is
 * written, as Kafka does it: a fetch that waits for records holds up what its client sends after it.
 * @param socket owned from here on; closed where the client sends what is no Kafka request
 * @param onInternalError told of a fault in the broker itself; the connection is closed then, too
 */
export function serveConnection(
  socket: Socket,
  state: BrokerState,
  onInternalError: (error: unknown) => void,
): void {
  const frames = new FrameSplitter(limits.requestBytesMax);
  const closing = new AbortController();
  const connection: ClientConnection = {
    clientAddress: socket.remoteAddress ?? "",
    brokerHost: socket.localAddress ?? "",
    brokerPort: socket.localPort ?? 0,
    closed: closing.signal,
  };
  let serving = false;

  socket.setNoDelay(true);
  socket.setTimeout(limits.connectionIdleMs, () => socket.destroy());
  socket.on("error", () => socket.destroy()); // the client is gone; "close" follows
  socket.on("close", () => closing.abort());
  socket.on("data", (chunk: Buffer) => {
    frames.push(chunk);
    if (isFull()) socket.pause();
    void serve();
  });

  async function serve(): Promise<void> {
    if (serving) return;
    serving = true;
    try {
      let served = 0;
      for (let frame = frames.next(); frame && !socket.destroyed; frame = frames.next()) {
        const response = await handleRequest(frame, connection, state);
        if (response && !socket.destroyed) await write(response);
        if (socket.isPaused() && !isFull()) socket.resume();
        served += 1;
        if (served % REQUESTS_PER_TURN === 0) await new Promise(setImmediate);
      }
    } catch (error) {
      socket.destroy();
      if (!(error instanceof MalformedRequestError)) onInternalError(error);
    } finally {
      serving = false;
    }
  }

  /** Whether a whole frame of any size fits in what is waiting, so that reading can stop. */
  function isFull(): boolean {
    return frames.bufferedBytes > limits.requestBytesMax + 4;
  }

  /** Resolves when the socket takes more, or is gone. */
  function write(response: Buffer): Promise<void> | undefined {
    if (socket.write(response)) return undefined;
    return new Promise((resolve) => {
      const finish = () => {
        socket.off("drain", finish);
        closing.signal.removeEventListener("abort", finish);
        resolve();
      };
      socket.on("drain", finish);
      closing.signal.addEventListener("abort", finish);
    });
  }
}
