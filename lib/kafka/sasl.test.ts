import { expect, test } from "bun:test";
import type { AuthenticationProviderArgs, Mechanism } from "kafkajs";
import { saslOptions } from "./sasl.ts";

/** A broker that gets messages, and answers each with the next of some texts. */
function broker(...answers: string[]) {
  const received: string[] = [];
  const saslAuthenticate: AuthenticationProviderArgs["saslAuthenticate"] = async (args) => {
    const frame = await args.request.encode();
    expect(frame.readInt32BE()).toBe(frame.length - 4);
    received.push(frame.subarray(4).toString());
    const answer = answers[received.length - 1];
    if (answer === undefined) throw new Error("SASL_AUTHENTICATION_FAILED");
    const framed = Buffer.concat([Buffer.alloc(4), Buffer.from(answer)]);
    framed.writeInt32BE(answer.length);
    if (args.response) return args.response.parse(await args.response.decode(framed));
  };
  return { received, saslAuthenticate };
}

async function authenticate(at: ReturnType<typeof broker>, token = "t0ken"): Promise<void> {
  const options = saslOptions({ mechanism: "oauthbearer", token: async () => token }) as Mechanism;
  const given = { host: "kafka", port: 9092, ...at } as unknown as AuthenticationProviderArgs;
  await options.authenticationProvider(given).authenticate();
}

test("a bearer token is sent as the standard has it", async () => {
  const at = broker("");
  await authenticate(at);
  expect(at.received).toEqual(["n,,\u0001auth=Bearer t0ken\u0001\u0001"]);
});

test("a broker's refusal is read, acknowledged and told by its status alone", async () => {
  const at = broker('{"status":"invalid_token","openid-configuration":"https://login/t0ken"}');
  const error: unknown = await authenticate(at).catch((reason: unknown) => reason);
  expect(String(error)).toBe(
    "KafkaJSSASLAuthenticationError: SASL OAUTHBEARER: the broker refuses the token (invalid_token)",
  );
  expect(at.received[1]).toBe("\u0001");
});

test("a refusal that is no JSON is one all the same", async () => {
  const at = broker("t0ken is bad");
  const error: unknown = await authenticate(at).catch((reason: unknown) => reason);
  expect(String(error)).toEndWith("the broker refuses the token");
});

test("a password is asked for when kafkajs needs it, and no sooner", () => {
  let asked = 0;
  const password = () => `password-${++asked}`;
  const options = saslOptions({ mechanism: "scram-sha-512", username: "orders", password });
  expect(asked).toBe(0);
  expect(options).toMatchObject({ mechanism: "scram-sha-512", username: "orders" });
  expect([Reflect.get(options, "password"), Reflect.get(options, "password")]).toEqual([
    "password-1",
    "password-2",
  ]);
});
