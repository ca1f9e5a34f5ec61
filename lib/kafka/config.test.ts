import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError, type Env } from "#lib/service/config.ts";
import { brokerList, loadKafkaConfig } from "./config.ts";

const brokers = { KAFKA_BROKERS: "a:9092,b:9092" };
const folder = mkdtempSync(join(tmpdir(), "orderflow-kafka-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

function fileWith(content: string): string {
  const path = join(folder, crypto.randomUUID());
  writeFileSync(path, content);
  return path;
}

const hasOpenssl = Bun.which("openssl") !== null;

/** A key and its certificate, as PEM. */
function selfSigned(): { key: string; cert: string } {
  if (!hasOpenssl) return { key: "", cert: "" };
  const { stdout, exitCode } = Bun.spawnSync(
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=t -keyout - -out - -days 2".split(
      " ",
    ),
    { stdout: "pipe", stderr: "ignore" },
  );
  expect(exitCode).toBe(0);
  const [key = "", cert = ""] = stdout.toString().match(/-----BEGIN [^]+?-----END .+-----/g) ?? [];
  return { key, cert };
}

function refusal(env: Env): string | undefined {
  try {
    loadKafkaConfig({ ...brokers, ...env });
    return undefined;
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

const ours = selfSigned();
const another = selfSigned();
const [ca, cert, key] = [fileWith(another.cert), fileWith(ours.cert), fileWith(ours.key)];
const tls = { KAFKA_SSL: "true" };
const scram = { KAFKA_SASL_MECHANISM: "scram-sha-512", KAFKA_SASL_USERNAME: "orders" };
const bearer = { KAFKA_SASL_MECHANISM: "oauthbearer" };
const endpoint = { KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL: "https://login/token" };

test("brokers alone mean plaintext", () => {
  expect(loadKafkaConfig({ ...brokers, KAFKA_SSL: "false", KAFKA_SASL_MECHANISM: "" })).toEqual({
    brokers: ["a:9092", "b:9092"],
  });
});

describe.skipIf(!hasOpenssl)("TLS", () => {
  test("needs no file, and takes the authority's and our own", () => {
    expect(loadKafkaConfig({ ...brokers, ...tls }).ssl).toEqual({});
    const own = { KAFKA_SSL_CA: ca, KAFKA_SSL_CERT: cert, KAFKA_SSL_KEY: key };
    const { ssl } = loadKafkaConfig({ ...brokers, ...tls, ...own });
    expect({ ...ssl }).toEqual({ ca: another.cert, ...ours });
  });

  test("takes a bundle of authorities", () => {
    const bundle = `# one\n${ours.cert}\n\n# two\n${another.cert}\n`;
    const { ssl } = loadKafkaConfig({ ...brokers, ...tls, KAFKA_SSL_CA: fileWith(bundle) });
    expect(ssl?.ca).toBe(bundle.trim());
  });

  test("has for each connection what the files hold by then", () => {
    const rotated = fileWith(ours.cert);
    const { ssl } = loadKafkaConfig({ ...brokers, ...tls, KAFKA_SSL_CA: rotated });
    expect({ ...ssl }).toEqual({ ca: ours.cert });
    writeFileSync(rotated, another.cert);
    expect({ ...ssl }).toEqual({ ca: another.cert });
    writeFileSync(rotated, "half a fi");
    expect(() => ssl?.ca).toThrow("KAFKA_SSL_CA ");
  });

  const encrypted =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIFLTBX\n-----END ENCRYPTED PRIVATE KEY-----";
  test.each([
    ["KAFKA_SSL", { KAFKA_SSL: "yes" }],
    ["KAFKA_SSL_CA", { KAFKA_SSL_CA: ca }],
    ["KAFKA_SSL_CERT", { KAFKA_SSL: "false", KAFKA_SSL_CERT: cert, KAFKA_SSL_KEY: key }],
    ["KAFKA_SSL_KEY", { ...tls, KAFKA_SSL_CERT: cert }],
    ["KAFKA_SSL_CERT", { ...tls, KAFKA_SSL_KEY: key }],
    ["KAFKA_SSL_KEY", { ...tls, KAFKA_SSL_CERT: ca, KAFKA_SSL_KEY: key }],
    ["KAFKA_SSL_CA", { ...tls, KAFKA_SSL_CA: join(folder, "none") }],
    ["KAFKA_SSL_CA", { ...tls, KAFKA_SSL_CA: folder }],
    ["KAFKA_SSL_CA", { ...tls, KAFKA_SSL_CA: fileWith("") }],
    ["KAFKA_SSL_CA", { ...tls, KAFKA_SSL_CA: "/dev/zero" }],
    ["KAFKA_SSL_CA", { ...tls, KAFKA_SSL_CA: key }],
    ["KAFKA_SSL_CA", { ...tls, KAFKA_SSL_CA: fileWith(ours.cert.replaceAll("MII", "broken")) }],
    ["KAFKA_SSL_CERT", { ...tls, KAFKA_SSL_CERT: key, KAFKA_SSL_KEY: key }],
    ["KAFKA_SSL_KEY", { ...tls, KAFKA_SSL_CERT: cert, KAFKA_SSL_KEY: cert }],
    ["KAFKA_SSL_KEY", { ...tls, KAFKA_SSL_CERT: cert, KAFKA_SSL_KEY: fileWith(encrypted) }],
  ])("%s is refused by name (%#)", (name, env) => {
    const message = refusal(env);
    expect(message).toStartWith(`${name} `);
    expect(message).not.toContain(folder);
    expect(message).not.toContain("\n");
  });
});

describe("SASL", () => {
  test.each(["plain", "scram-sha-256", "scram-sha-512"])("%s has a name and a password", (name) => {
    const env = { ...scram, KAFKA_SASL_MECHANISM: name, KAFKA_SASL_PASSWORD: "s3cret" };
    const { sasl } = loadKafkaConfig({ ...brokers, ...env });
    if (sasl?.mechanism === "oauthbearer") throw new Error("not a password");
    expect([sasl?.mechanism, sasl?.username, sasl?.password()]).toEqual([name, "orders", "s3cret"]);
  });

  test("the password's file is read for each connection", () => {
    const file = fileWith("s3cret\n");
    const { sasl } = loadKafkaConfig({ ...brokers, ...scram, KAFKA_SASL_PASSWORD_FILE: file });
    if (sasl?.mechanism !== "scram-sha-512") throw new Error("not as told");
    expect(sasl.password()).toBe("s3cret");
    writeFileSync(file, "rotated");
    expect(sasl.password()).toBe("rotated");
  });

  test("what prints the configuration prints no secret", () => {
    const config = loadKafkaConfig({ ...brokers, ...scram, KAFKA_SASL_PASSWORD: "s3cret" });
    expect(Bun.inspect(config) + JSON.stringify(config)).not.toContain("s3cret");
  });

  test("oauthbearer without an endpoint takes the token from the file, for each connection", async () => {
    const file = fileWith("eyJh.eyJz.sig-_~+/==\n");
    const { sasl } = loadKafkaConfig({ ...brokers, ...bearer, KAFKA_SASL_PASSWORD_FILE: file });
    if (sasl?.mechanism !== "oauthbearer") throw new Error("not as told");
    expect(await sasl.token()).toBe("eyJh.eyJz.sig-_~+/==");
    writeFileSync(file, "rotated");
    expect(await sasl.token()).toBe("rotated");
    writeFileSync(file, "no token");
    expect(await sasl.token().catch(String)).toContain("KAFKA_SASL_PASSWORD");
  });

  const password = { KAFKA_SASL_PASSWORD: "s3cret" };
  test.each([
    ["KAFKA_SASL_MECHANISM", { KAFKA_SASL_MECHANISM: "gssapi" }],
    ["KAFKA_SASL_MECHANISM", { KAFKA_SASL_MECHANISM: "none" }],
    ["KAFKA_SASL_USERNAME", { KAFKA_SASL_USERNAME: "orders" }],
    ["KAFKA_SASL_PASSWORD", password],
    ["KAFKA_SASL_PASSWORD_FILE", { KAFKA_SASL_PASSWORD_FILE: key }],
    ["KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL", endpoint],
    ["KAFKA_SASL_PASSWORD", scram],
    ["KAFKA_SASL_USERNAME", { ...scram, ...password, KAFKA_SASL_USERNAME: "" }],
    ["KAFKA_SASL_USERNAME", { ...scram, ...password, KAFKA_SASL_USERNAME: "a\0b" }],
    ["KAFKA_SASL_PASSWORD", { ...scram, KAFKA_SASL_PASSWORD: "s3cret\0" }],
    ["KAFKA_SASL_PASSWORD", { ...scram, ...password, KAFKA_SASL_PASSWORD_FILE: key }],
    ["KAFKA_SASL_PASSWORD_FILE", { ...scram, KAFKA_SASL_PASSWORD_FILE: fileWith("\n") }],
    ["KAFKA_SASL_OAUTHBEARER_SCOPE", { ...scram, ...password, KAFKA_SASL_OAUTHBEARER_SCOPE: "a" }],
    ["KAFKA_SASL_PASSWORD", bearer],
    ["KAFKA_SASL_PASSWORD", { ...bearer, KAFKA_SASL_PASSWORD: "s3cret \u0001" }],
    ["KAFKA_SASL_USERNAME", { ...bearer, ...password, KAFKA_SASL_USERNAME: "orders" }],
    ["KAFKA_SASL_USERNAME", { ...bearer, ...password, ...endpoint }],
    ...["login/token", "ftp://login", "https://u:s3cret@login"].map(
      (url) =>
        [
          "KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL",
          { ...bearer, ...password, KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL: url },
        ] as const,
    ),
  ])("%s is refused by name (%#)", (name, env) => {
    const message = refusal(env);
    expect(message).toStartWith(`${name} `);
    expect(message).not.toContain("s3cret");
    expect(message).not.toContain("\n");
  });
});

describe("Kafka's brokers", () => {
  test("are host:port, separated by commas", () => {
    expect(brokerList({ KAFKA_BROKERS: "kafka:9092" })).toEqual(["kafka:9092"]);
    expect(brokerList({ KAFKA_BROKERS: " a:1 , b.c:65535" })).toEqual(["a:1", "b.c:65535"]);
  });

  test.each([
    undefined,
    "",
    "kafka",
    "kafka:",
    ":9092",
    "a:9092,",
    "a:0",
    "a:65536",
    "http://a:1",
    "a:1;b:2",
    "[::1]:9092",
  ])("are not %s", (text) => {
    expect(() => brokerList({ KAFKA_BROKERS: text })).toThrow(/^KAFKA_BROKERS /);
  });
});
