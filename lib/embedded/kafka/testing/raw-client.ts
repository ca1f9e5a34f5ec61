// A bare TCP client for the broker's tests: sends any bytes, receives response frames.
import { connect } from "node:net";
import { FrameSplitter } from "../frame-splitter.ts";
import { Reader } from "../reader.ts";

const RESPONSE_BYTES_MAX = 64 * 1024 * 1024;

/** A connection that knows frames and nothing else of the protocol. */
export interface RawClient {
  send(bytes: Uint8Array): void;
  /** Waits for the next response, its length taken off. @throws Error when the broker hangs up */
  receive(): Promise<Reader>;
  /** Bytes that wait here, as the broker does not take them. */
  unsentBytes(): number;
  /** Stops taking bytes from the network, so that the broker's answers pile up. */
  pause(): void;
  resume(): void;
  /** Resolves when the connection has ended, whoever ended it. */
  readonly ended: Promise<void>;
  close(): void;
}

/** Connects to a port of the loopback interface. */
export async function connectRaw(port: number): Promise<RawClient> {
  const socket = connect(port, "127.0.0.1");
  const frames = new FrameSplitter(RESPONSE_BYTES_MAX);
  const waiting: { resolve: (reader: Reader) => void; reject: (error: Error) => void }[] = [];
  const received: Buffer[] = [];
  let hasEnded = false;
  const ended = new Promise<void>((resolve) => {
    socket.on("close", () => {
      hasEnded = true;
      for (const { reject } of waiting) reject(new Error("the broker closed the connection"));
      resolve();
    });
  });
  socket.on("error", () => socket.destroy()); // "close" follows
  socket.on("data", (chunk: Buffer) => {
    frames.push(chunk);
    for (let frame = frames.next(); frame; frame = frames.next()) {
      const next = waiting.shift();
      if (next) next.resolve(new Reader(frame));
      else received.push(frame);
    }
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("close", () => reject(new Error("not connected")));
  });
  return {
    send: (bytes) => void socket.write(bytes),
    receive: () => {
      const frame = received.shift();
      if (frame) return Promise.resolve(new Reader(frame));
      if (hasEnded) return Promise.reject(new Error("the broker closed the connection"));
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    unsentBytes: () => socket.writableLength,
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    ended,
    close: () => void socket.destroy(),
  };
}
