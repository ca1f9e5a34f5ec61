/** Clients that send half a request and stall, by the hundred: they lose their own place, nobody else's. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { connectRaw, type RawClient } from "../support/hostile/raw-http.ts";
import { judgeErrorBody } from "../support/hostile/verdict.ts";
import { startServiceProcess, type ServiceProcess } from "../support/service-process.ts";
import { until } from "../support/until.ts";

/** Eight times as many bodies may be on their way. */
const REQUESTS_MAX = 16;
const BODIES_MAX = 8 * REQUESTS_MAX;
const HELD = 1_000;
const MIB = 1_048_576;
/** Fewer than may be on their way, and more than 64 MiB. */
const LARGE_HELD = 100;
/** The service gives a body 10 s. */
const GIVEN_UP_WITHIN_MS = 20_000;
const MAIL = JSON.stringify({ to: "a@example.com", subject: "s", body: "b" });
const HEAD = `POST /send HTTP/1.1\r\nHost: x\r\nContent-Length: ${MAIL.length}\r\n\r\n`;

setDefaultTimeout(60_000);

let email: ServiceProcess;
beforeAll(async () => {
  email = await startServiceProcess("email", {
    HTTP_REQUESTS_MAX: String(REQUESTS_MAX),
    EMAIL_DELAY_MS: "0-0",
    OTEL_TRACES_EXPORTER: "none",
    OTEL_METRICS_EXPORTER: "none",
  });
});
afterAll(() => email.stop());

const clients: RawClient[] = [];
afterAll(() => {
  for (const client of clients.splice(0)) client.destroy();
});

async function open(): Promise<RawClient> {
  const client = await connectRaw(email.url);
  clients.push(client);
  return client;
}

/** Clients that have sent the head of a request and one byte of its body, in the order of their sending. */
async function halfSent(count: number): Promise<RawClient[]> {
  const held = await Promise.all(Array.from({ length: count }, open));
  for (const client of held) client.write(`${HEAD}{`);
  return held;
}

async function sendMail(): Promise<number> {
  const response = await fetch(`${email.url}/send`, {
    method: "POST",
    body: MAIL,
    signal: AbortSignal.timeout(5_000),
  });
  await response.text();
  return response.status;
}

/** How many requests were answered 408, as the metric has it. */
async function givenUp(): Promise<number> {
  const text = await (await fetch(`${email.url}/metrics`)).text();
  const found = /^http_server_request_duration_seconds_count\{.*status_code="408".*\} (\d+)$/m.exec(
    text,
  );
  return Number(found?.[1] ?? 0);
}

test("thousands of half-sent bodies keep nobody out: the oldest are given up for the newest", async () => {
  const before = await givenUp();
  const held = await halfSent(HELD);
  await until("all have arrived", async () => (await givenUp()) - before >= HELD - BODIES_MAX);
  // More than may be on their way stall now; whoever sends a whole request is answered.
  for (let n = 0; n < 50; n++) expect(await sendMail()).toBe(200);

  const oldest = await held[0]?.answer(GIVEN_UP_WITHIN_MS);
  expect(oldest?.status).toBe(408);
  expect(oldest?.headers.get("connection")).toBe("close");
  if (oldest) judgeErrorBody(oldest);

  // The rest lose theirs when their time is over, all of them.
  const answers = await Promise.all(held.map((client) => client.answer(GIVEN_UP_WITHIN_MS)));
  expect(answers.filter((answer) => answer?.status === 408)).toHaveLength(HELD);
  expect((await givenUp()) - before).toBe(HELD);

  const said = email.lines.filter(({ message }) => message.includes("did not arrive in time"));
  expect(said.length).toBeGreaterThan(0);
  expect(said.length).toBeLessThanOrEqual(3);
});

test("large bodies that stall are given up for their size, before they are too many", async () => {
  const before = await givenUp();
  const held = await Promise.all(Array.from({ length: LARGE_HELD }, open));
  for (const client of held) {
    client.write(`POST /send HTTP/1.1\r\nHost: x\r\nContent-Length: ${MIB}\r\n\r\n{`);
  }
  // Long before its time is over: the size of all together is bounded by 64 MiB.
  expect((await held[0]?.answer(5_000))?.status).toBe(408);
  expect(await sendMail()).toBe(200);
  const answers = await Promise.all(held.map((client) => client.answer(GIVEN_UP_WITHIN_MS)));
  expect(answers.filter((answer) => answer?.status === 408)).toHaveLength(LARGE_HELD);
  expect((await givenUp()) - before).toBe(LARGE_HELD);
});

test.concurrent(
  "a body has its time, from its first byte, however steadily its bytes drip",
  async () => {
    const startedMs = performance.now();
    const [announced, chunked] = [await open(), await open()];
    announced.write("POST /send HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{");
    chunked.write("POST /send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n");
    const drip = setInterval(() => {
      announced.write(" ");
      chunked.write("1\r\n \r\n");
    }, 200);
    try {
      for (const client of [announced, chunked]) {
        const answer = await client.answer(GIVEN_UP_WITHIN_MS);
        expect(answer?.status).toBe(408);
        if (answer) judgeErrorBody(answer);
      }
    } finally {
      clearInterval(drip);
    }
    // Not at once, either: an honest client on a slow line has these seconds.
    expect(performance.now() - startedMs).toBeGreaterThan(5_000);
  },
);

test.concurrent("a body that comes slowly, and in time, is taken", async () => {
  const client = await open();
  client.write(HEAD);
  for (const part of MAIL.match(/.{1,5}/g) ?? []) {
    client.write(part);
    await Bun.sleep(50);
  }
  expect((await client.answer())?.status).toBe(200);
});

test.concurrent(
  "half a head, or none, is closed by the HTTP parser, however steadily it drips",
  async () => {
    const [silent, half, dripping] = [await open(), await open(), await open()];
    half.write("POST /send HTTP/1.1\r\nHost:");
    dripping.write("POST /send HTTP/1.1\r\nX-Slow: ");
    const drip = setInterval(() => dripping.write("x"), 200);
    try {
      const answers = [silent, half, dripping].map((client) => client.answer(GIVEN_UP_WITHIN_MS));
      expect(await Promise.all(answers)).toEqual([undefined, undefined, undefined]);
    } finally {
      clearInterval(drip);
    }
  },
);
