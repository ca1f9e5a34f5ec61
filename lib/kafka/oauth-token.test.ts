import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { clientCredentials, TokenError } from "./oauth-token.ts";

interface Asked {
  readonly authorization: string;
  readonly body: string;
}

let server: Bun.Server<undefined>;
let asked: Asked[];
let answer: (request: Request) => Response | Promise<Response>;

beforeEach(() => {
  asked = [];
  answer = () => Response.json({ access_token: `token-${asked.length}`, token_type: "Bearer" });
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const authorization = request.headers.get("authorization") ?? "";
      asked.push({ authorization, body: await request.text() });
      return await answer(request);
    },
  });
});
afterEach(() => server.stop(true));

function source(secret = () => "s3cret", options: { scope?: string; timeoutMs?: number } = {}) {
  const endpoint = new URL("/token", server.url);
  return clientCredentials({ endpoint, clientId: "or:ders", clientSecret: secret, ...options });
}

async function failure(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TokenError);
  const text = `${Bun.inspect(error)} ${String(error)}`;
  expect(text).not.toContain("s3cret");
  expect(text).not.toContain(Buffer.from("s3cret").toString("base64").slice(0, -1));
  return (error as Error).message;
}

test("asks for a token with the client's credentials, form-encoded first", async () => {
  expect(await source(() => "s 3/c&ret", { scope: "kafka read" })()).toBe("token-1");
  const pair = Buffer.from((asked[0]?.authorization ?? "").replace("Basic ", ""), "base64");
  expect(pair.toString()).toBe("or%3Aders:s+3%2Fc%26ret");
  expect(asked[0]?.body).toBe("grant_type=client_credentials&scope=kafka+read");
});

test("uses a token until 80 % of its life are over, then asks for another", async () => {
  answer = () => Response.json({ access_token: `token-${asked.length}`, expires_in: 1 });
  const token = source();
  let nowMs = 0;
  using _ = spyOn(performance, "now").mockImplementation(() => nowMs);
  expect(await token()).toBe("token-1");
  nowMs = 799;
  expect(await token()).toBe("token-1");
  nowMs = 800;
  expect(await token()).toBe("token-2");
  expect(asked.length).toBe(2);
});

test("asks at each connection where the life of a token is not said", async () => {
  const token = source();
  expect([await token(), await token()]).toEqual(["token-1", "token-2"]);
});

test("those who ask at once share one request, and the next one asks anew after a failure", async () => {
  let status = 503;
  answer = () =>
    status === 503 ? new Response("", { status }) : Response.json({ access_token: "t" });
  const token = source();
  const both = [token(), token()];
  for (const one of both) expect(await failure(one)).toContain("503");
  expect(asked.length).toBe(1);
  status = 200;
  expect(await token()).toBe("t");
});

test("a secret in a file is read anew for each request", async () => {
  let secret = "s3cret";
  const token = source(() => secret);
  await token();
  secret = "rotated";
  await token();
  expect(asked[0]?.authorization).not.toBe(asked[1]?.authorization ?? "");
});

describe("gives no token, and tells why without the secret, where", () => {
  test("the server refuses: its code is said, its description is not", async () => {
    answer = () =>
      Response.json(
        { error: "invalid_client", error_description: "s3cret is wrong" },
        { status: 401 },
      );
    expect(await failure(source()())).toEndWith("gives no token: status 401 (invalid_client)");
  });

  test("its answer has no bearer token", async () => {
    for (const body of ["{}", "nonsense", '{"access_token": 7}', '{"access_token": "a\\u0001b"}']) {
      answer = () => new Response(body);
      expect(await failure(source()())).toEndWith("gives no bearer token");
    }
  });

  test("it sends us elsewhere: our secret does not go there", async () => {
    let isAskedElsewhere = false;
    answer = ({ url }) => {
      if (url.endsWith("/elsewhere")) isAskedElsewhere = true;
      return Response.redirect("/elsewhere", 307);
    };
    await failure(source()());
    expect(isAskedElsewhere).toBe(false);
  });

  test("its answer has no end", async () => {
    answer = () => new Response("x".repeat(100_000));
    expect(await failure(source()())).toContain("more than 65536 bytes");
  });

  test("nobody listens", async () => {
    const token = source();
    await server.stop(true);
    expect(await failure(token())).toContain(server.url.host);
  });

  test("it does not answer in time", async () => {
    const never = Promise.withResolvers<Response>();
    answer = () => never.promise;
    const startedMs = performance.now();
    await failure(source(() => "s3cret", { timeoutMs: 100 })());
    expect(performance.now() - startedMs).toBeLessThan(4_000);
    never.resolve(new Response());
  });
});
