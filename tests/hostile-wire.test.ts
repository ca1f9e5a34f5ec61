/** What is wrong below HTTP's words: lengths, chunks, slowness, and clients that leave. */
import { afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { SERVICE_NAMES } from "#lib/service/services.ts";
import { inChunks, INJECTED_HEADER } from "./support/hostile/inputs.ts";
import {
  connectRaw,
  exchange,
  type RawAnswer,
  type RawClient,
} from "./support/hostile/raw-http.ts";
import { expectUnharmed } from "./support/hostile/unharmed.ts";
import { judgeErrorBody } from "./support/hostile/verdict.ts";
import type { ServiceName } from "./support/service-process.ts";
import { stack, startStack, STACK_START_TIMEOUT_MS } from "./support/stack.ts";

const BODY_BYTES_MAX = 1024 * 1024;
/** HTTP_REQUESTS_MAX's default. */
const REQUESTS_MAX = 512;
const ORDER = JSON.stringify({
  customer_id: "wire",
  items: [{ item_id: "NO-SUCH-ITEM", quantity: 1, price: 1 }],
});
/** Services, and a path of each that takes a body. */
const TAKES_BODY: [ServiceName, string][] = [
  ["gateway", "/orders"],
  ["orders", "/orders"],
  ["inventory", "/stock/ITEM-001/reserve"],
  ["email", "/send"],
];

const clients: RawClient[] = [];

setDefaultTimeout(30_000);

beforeAll(startStack, STACK_START_TIMEOUT_MS);
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await expectUnharmed();
});

describe("a body whose framing is wrong", () => {
  const BAD_LENGTHS = ["-1", "+5", "0x10", "5, 6", "5 5", "1e2", "", "five", "9".repeat(30)];
  test.each(TAKES_BODY)("is refused by %s: a length that is no number", async (name, path) => {
    const url = await urlOf(name);
    for (const length of BAD_LENGTHS) {
      const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;
      expectRefused(await exchange(url, `${head}Content-Length: ${length}\r\n\r\n{}`));
    }
  });

  test.each(TAKES_BODY)(
    "is refused by %s: two lengths, or a length and chunks",
    async (name, path) => {
      const url = await urlOf(name);
      const smuggled = `GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n`;
      for (const framing of [
        "Content-Length: 5\r\nContent-Length: 6",
        `Content-Length: ${5 + smuggled.length}\r\nTransfer-Encoding: chunked`,
        `Transfer-Encoding: chunked\r\nContent-Length: 5`,
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: \u000bchunked",
      ]) {
        const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${framing}\r\n\r\n`;
        expectRefused(await exchange(url, `${head}0\r\n\r\n${smuggled}`));
      }
    },
  );

  test.each(TAKES_BODY)("is refused by %s: broken chunks", async (name, path) => {
    const url = await urlOf(name);
    for (const chunks of [
      "ZZ\r\n{}\r\n0\r\n\r\n",
      "-2\r\n{}\r\n0\r\n\r\n",
      "0x2\r\n{}\r\n0\r\n\r\n",
      "ffffffffffffffff\r\n{}\r\n0\r\n\r\n",
      "2\r\n{}0\r\n\r\n",
      "2\r\n{}XX0\r\n\r\n",
      "\r\n\r\n",
    ]) {
      const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;
      const client = await open(url);
      client.write(`${head}Transfer-Encoding: chunked\r\n\r\n${chunks}`);
      client.halfClose();
      expectRefused(await client.answer());
    }
  });

  test.each(TAKES_BODY)("that never comes whole does no harm to %s", async (name, path) => {
    const url = await urlOf(name);
    for (const framing of ["Content-Length: 1000", "Transfer-Encoding: chunked"]) {
      for (let count = 0; count < 10; count++) {
        const client = await open(url);
        client.write(`POST ${path} HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n`);
        client.write(framing.startsWith("Content") ? ORDER.slice(0, 20) : "5\r\n{");
        if (count % 2 === 0) client.halfClose();
        else client.destroy();
      }
    }
  });

  test("that is shorter than what is sent leaves the rest as a request of its own", async () => {
    const client = await open(await urlOf("orders"));
    const head = `POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n`;
    client.write(`${head}${ORDER.slice(0, 10)}${ORDER.slice(10)}\r\n\r\n`);
    const answer = await client.answer();
    expect(answer?.status).toBe(400);
  });
});

describe("a body over 1 MiB", () => {
  test.each(TAKES_BODY)(
    "is refused by %s before it is sent, where it says so",
    async (name, path) => {
      for (const length of [BODY_BYTES_MAX + 1, 10 ** 12, Number.MAX_SAFE_INTEGER]) {
        const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;
        const answer = await exchange(await urlOf(name), head);
        expect(answer?.status).toBe(413);
        if (answer) judgeErrorBody(answer);
      }
    },
  );

  test.each(TAKES_BODY)(
    "is refused by %s in chunks too, when it gets there",
    async (name, path) => {
      const client = await open(await urlOf(name));
      client.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
      const chunk = inChunks(Buffer.alloc(64 * 1024, " "), 64 * 1024).subarray(
        0,
        -"0\r\n\r\n".length,
      );
      for (let count = 0; count < 17; count++) client.write(chunk);
      const answer = await client.answer();
      expect(answer?.status).toBe(413);
      if (answer) judgeErrorBody(answer);
    },
  );
});

describe("slow clients", () => {
  test.each(TAKES_BODY)(
    "hold nobody up at %s: half a head, half a body, or nothing",
    async (name, path) => {
      const url = await urlOf(name);
      for (let count = 0; count < 30; count++) {
        const [silent, head, body] = [await open(url), await open(url), await open(url)];
        silent.write("");
        head.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nX-Slow: `);
        body.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{`);
      }
      for (let count = 0; count < 20; count++) {
        const response = await fetch(`${url}${path}`, { method: "POST", body: "{" });
        expect(response.status).toBe(400);
      }
    },
  );

  test("that are more than the requests handled at a time hold nobody up with half a body", async () => {
    const url = await urlOf("email");
    const request = "POST /send HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{";
    for (let count = 0; count < REQUESTS_MAX + 10; count++) (await open(url)).write(request);
    const response = await fetch(`${url}/send`, { method: "POST", body: "{" });
    expect(response.status).toBe(400);
  });

  test.each(TAKES_BODY)(
    "that send byte by byte are answered by %s as others are",
    async (name, path) => {
      const url = await urlOf(name);
      const request = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nnull`;
      const slow = await Promise.all(Array.from({ length: 10 }, () => open(url)));
      for (const byte of request) {
        for (const client of slow) client.write(byte);
        const response = await fetch(`${url}/readyz`);
        expect(response.status).toBe(200);
      }
      for (const client of slow) {
        const answer = await client.answer();
        expect(answer?.status).toBe(400);
        if (answer) judgeErrorBody(answer);
      }
    },
  );
});

describe("clients that leave", () => {
  test.each(TAKES_BODY)(
    "before, during and after a request do no harm to %s",
    async (name, path) => {
      const url = await urlOf(name);
      const request = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${ORDER.length}\r\n\r\n${ORDER}`;
      for (let bytes = 0; bytes <= request.length; bytes += 7) {
        const client = await open(url);
        client.write(request.slice(0, bytes));
        client.destroy();
      }
      (await open(url)).destroy();
    },
  );

  test("in the middle of many pipelined requests do no harm", async () => {
    const url = await urlOf("gateway");
    for (let count = 0; count < 10; count++) {
      const client = await open(url);
      client.write("GET /inventory HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100));
      // Bun's server answers in turn only where a handler need not wait; else it closes the connection.
      expect([200, undefined]).toContain((await client.answer())?.status);
    }
  });
});

describe("long heads", () => {
  test.each(SERVICE_NAMES)(
    "are answered by %s with an error of its own, or refused by the HTTP parser",
    async (name) => {
      const url = await urlOf(name);
      for (const length of [1_000, 8_000, 15_000, 16_000, 17_000, 70_000, 1_000_000]) {
        for (const head of [
          `GET /${"x".repeat(length)} HTTP/1.1\r\nHost: x\r\n`,
          `GET /nothing?q=${"x".repeat(length)} HTTP/1.1\r\nHost: x\r\n`,
          `GET /nothing HTTP/1.1\r\nHost: x\r\nX-Long: ${"x".repeat(length)}\r\n`,
          `GET /nothing HTTP/1.1\r\nHost: x\r\n${"X-Many: 1\r\n".repeat(length / 10)}`,
        ]) {
          expectRefused(await exchange(url, `${head}Connection: close\r\n\r\n`));
        }
      }
    },
  );

  test("that the gateway takes and the service behind it does not end as an error in our form", async () => {
    const url = await urlOf("gateway");
    const statuses = new Set<number>();
    for (let length = 14_000; length < 16_600; length += 20) {
      const path = `/orders?customer_id=x&status=${"y".repeat(length)}`;
      const answer = await exchange(
        url,
        `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      );
      statuses.add(answer?.status ?? 0);
      // Only the gateway's own parser may answer without a body, and it closes the connection then.
      if (answer && (answer.status !== 431 || answer.headers.has("date"))) judgeErrorBody(answer);
    }
    expect([...statuses]).toEqual(expect.arrayContaining([400, 431]));
  });
});

test("a line break in what is echoed never becomes a header of the answer", async () => {
  const { services } = await stack();
  const broken = `%0d%0a${INJECTED_HEADER}:%201`;
  for (const [name, path] of [
    ["gateway", `/orders/${broken}`],
    ["gateway", `/inventory/${broken}`],
    ["gateway", `/orders?limit=1&status=pending&customer_id=${broken}`],
    ["orders", `/orders?limit=1&x=${broken}`],
    ["inventory", `/stock/${broken}`],
  ] as const) {
    const head = `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    const answer = await exchange(services[name], head);
    expect(answer?.headers.has(INJECTED_HEADER)).toBe(false);
    expect(answer?.rest.length).toBe(0);
  }
});

async function urlOf(name: ServiceName): Promise<string> {
  return (await stack()).services[name];
}

async function open(url: string): Promise<RawClient> {
  const client = await connectRaw(url);
  clients.push(client);
  return client;
}

/** A 4xx with an error of ours, or a refusal by the HTTP parser: no body, or no answer at all. */
function expectRefused(answer: RawAnswer | undefined): void {
  if (!answer) return;
  expect(answer.status).toBeGreaterThanOrEqual(400);
  if (answer.body.length > 0) judgeErrorBody(answer);
  if (answer.body.length > 0 || answer.status !== 501) expect(answer.status).toBeLessThan(500);
}
