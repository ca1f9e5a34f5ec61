/** A proxy between two programs: keeps each request as it crossed the wire, and fails as told. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Program } from "../stages.ts";
import { readBody } from "./body.ts";

/** An HTTP request from one program to another. */
export interface Hop {
  readonly from: Program;
  readonly to: Program;
  readonly method: string;
  /** With its query, as it was sent. */
  readonly path: string;
  /** As they were sent: order, repetitions and capitals too. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** undefined until it is answered, and where it never was. */
  readonly status: number | undefined;
  /** Since 1970, in milliseconds. */
  readonly startedMs: number;
}

/** What the proxy does to a request. Given a status or `cut`, it does not pass it on. */
export interface Fault {
  /** Answers with this one itself. */
  readonly status?: number;
  /** Waits first. */
  readonly delayMs?: number;
  /** Ends the connection without an answer. */
  readonly cut?: true;
  /** For how many requests, from now on. */
  readonly times: number;
}

/** See {@link startRecordingProxy}. */
export interface RecordingProxy {
  readonly url: string;
  hops(): readonly Hop[];
  /** Comes after the faults that were told before. */
  disturb(fault: Fault): void;
  /** Ends faults that are not used up. */
  calm(): void;
  forget(): void;
  stop(): Promise<void>;
}

const HOPS_MAX = 5_000;

/** @param targetUrl where it leads, without a slash at its end */
export async function startRecordingProxy(
  from: Program,
  to: Program,
  targetUrl: string,
): Promise<RecordingProxy> {
  const hops: { -readonly [Key in keyof Hop]: Hop[Key] }[] = [];
  let faults: Fault[] = [];

  /** Takes one request off the next fault. */
  const nextFault = (): Fault | undefined => {
    const [fault, ...others] = faults;
    if (fault)
      faults = fault.times > 1 ? [{ ...fault, times: fault.times - 1 }, ...others] : others;
    return fault;
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const startedMs = Date.now();
    const fault = nextFault();
    const gone = new AbortController();
    // The caller that hangs up is to be noticed behind us as well.
    response.once("close", () => gone.abort());
    const body = await readBody(request);
    const { method = "GET", url: path = "/" } = request;
    const hop: (typeof hops)[number] = {
      from,
      to,
      method,
      path,
      headers: pairsOf(request.rawHeaders),
      body: body.toString(),
      status: undefined,
      startedMs,
    };
    hops.push(hop);
    if (hops.length > HOPS_MAX) hops.shift();

    if (fault?.delayMs) await Bun.sleep(fault.delayMs);
    if (gone.signal.aborted) return;
    if (fault?.cut) return void response.socket?.destroy();
    if (fault?.status !== undefined) {
      hop.status = fault.status;
      response.writeHead(fault.status, { "content-type": "application/json" });
      response.end(JSON.stringify({ error: `the network answered ${fault.status}` }));
      return;
    }
    const passedOn = await passOn(targetUrl + path, hop, body, gone.signal);
    hop.status = passedOn.status;
    response.writeHead(passedOn.status, passedOn.headers);
    response.end(passedOn.body);
  };

  const server = createServer((request, response) => {
    // Whom it leads to is away, or the caller is: either way there is nobody to answer, or nothing to say.
    answer(request, response).catch(() => response.socket?.destroy());
  });
  const listening = Promise.withResolvers<void>();
  server.once("error", listening.reject);
  server.listen(0, "127.0.0.1", listening.resolve);
  await listening.promise;

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hops: () => [...hops],
    disturb: (fault) => faults.push(fault),
    calm: () => (faults = []),
    forget: () => (hops.length = 0),
    async stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function passOn(
  url: string,
  { method, headers }: Pick<Hop, "method" | "headers">,
  body: Buffer,
  signal: AbortSignal,
) {
  const answer = await fetch(url, {
    method,
    headers: headers
      .filter(([name]) => !HOP_BY_HOP.has(name.toLowerCase()))
      .map(([name, value]): [string, string] => [name, value]),
    // Orders may have been started again meanwhile: no connection to the one before.
    keepalive: false,
    proxy: false,
    ...(body.byteLength > 0 && { body: new Uint8Array(body) }),
    redirect: "manual",
    decompress: false,
    signal,
  });
  return {
    status: answer.status,
    headers: Object.fromEntries([...answer.headers].filter(([name]) => !HOP_BY_HOP.has(name))),
    body: await readBody(answer.body),
  };
}

/** What is between two neighbours only; the length is told anew. Not the host: it leads here by our doing. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "transfer-encoding",
]);

function pairsOf(raw: readonly string[]): (readonly [string, string])[] {
  return Array.from({ length: raw.length / 2 }, (_, index) => [
    raw[2 * index] ?? "",
    raw[2 * index + 1] ?? "",
  ]);
}
