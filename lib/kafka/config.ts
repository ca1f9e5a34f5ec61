/**
 * How to reach Kafka, from the environment: brokers, TLS and SASL. Read once at the edge; what
 * contradicts itself stops the start with one line that names the variable.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import {
  ConfigError,
  oneOf,
  readSmallFile,
  required,
  secret,
  type Env,
} from "#lib/service/config.ts";
import { clientCredentials, isBearerToken } from "./oauth-token.ts";

/** What a client needs to know to connect; see {@link loadKafkaConfig} and createKafka. */
export interface KafkaConnection {
  /** Addresses to start from, as `host:port`. */
  readonly brokers: readonly string[];
  /** TLS; without it the connection is plaintext. The broker's host name is always verified. */
  readonly ssl?: KafkaTls;
  /** Who we are; without it nobody asks. */
  readonly sasl?: KafkaSasl;
}

/** PEM texts. Getters, so that each connection has what the files hold by then. */
export interface KafkaTls {
  /** Whom to trust instead of the public authorities. */
  readonly ca?: string;
  /** Our own certificate, for brokers that ask for one (mutual TLS), and its key. */
  readonly cert?: string;
  readonly key?: string;
}

export type KafkaSasl = PasswordSasl | TokenSasl;

/** A name and a password. It is a function, so that what prints the configuration prints no secret. */
export interface PasswordSasl {
  readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
  readonly username: string;
  /** @throws Error where its file cannot be read by now */
  readonly password: () => string;
}

/** An OAuth 2 bearer token. */
export interface TokenSasl {
  readonly mechanism: "oauthbearer";
  /** Gives a token that is valid now. @throws Error where none is to be had; it holds no secret */
  readonly token: () => Promise<string>;
}

const MECHANISMS = ["none", "plain", "scram-sha-256", "scram-sha-512", "oauthbearer"] as const;
/** A bundle of all public authorities has about 250 KB. */
const PEM_BYTES_MAX = 1024 * 1024;
const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^-]+-----END \1-----/g;

/**
 * Reads KAFKA_BROKERS, KAFKA_SSL (with KAFKA_SSL_CA, KAFKA_SSL_CERT, KAFKA_SSL_KEY: paths of PEM
 * files) and KAFKA_SASL_MECHANISM (with KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD or
 * KAFKA_SASL_PASSWORD_FILE, KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL, KAFKA_SASL_OAUTHBEARER_SCOPE).
 *
 * Files are read here to find mistakes at the start, and again for each connection: certificates,
 * passwords and tokens on disk are rotated under a running process.
 *
 * @throws ConfigError naming the variable that is missing, malformed or contradicts another
 */
export function loadKafkaConfig(env: Env): KafkaConnection {
  const brokers = brokerList(env);
  const ssl = loadTls(env);
  const sasl = loadSasl(env);
  return { brokers, ...(ssl && { ssl }), ...(sasl && { sasl }) };
}

/** Kafka's brokers: required, `host:port` separated by commas. */
export function brokerList(env: Env, name = "KAFKA_BROKERS"): string[] {
  const brokers = required(env, name)
    .split(",")
    .map((broker) => broker.trim());
  for (const broker of brokers) {
    // kafkajs 2.2.4 takes an address apart at its first colon, so that of [::1]:9092 is host "[", port 0.
    // (An IPv6 address that a broker advertises is well; it does not come as one text.)
    if (broker.startsWith("[")) {
      throw new ConfigError(`${name} must have a host name in place of the IPv6 address ${broker}`);
    }
    const port = /^[A-Za-z0-9._-]+:(\d{1,5})$/.exec(broker)?.[1];
    if (!port || Number(port) < 1 || Number(port) > 65_535) {
      throw new ConfigError(`${name} must be a comma-separated list of host:port`);
    }
  }
  return brokers;
}

function loadTls(env: Env): KafkaTls | undefined {
  const isOn = oneOf(env, "KAFKA_SSL", ["true", "false"], "false") === "true";
  if (!isOn) {
    refuse(env, ["KAFKA_SSL_CA", "KAFKA_SSL_CERT", "KAFKA_SSL_KEY"], "needs KAFKA_SSL=true");
    return undefined;
  }
  const ca = pemSource(env, "KAFKA_SSL_CA", "CERTIFICATE");
  const cert = pemSource(env, "KAFKA_SSL_CERT", "CERTIFICATE");
  const key = pemSource(env, "KAFKA_SSL_KEY", "PRIVATE KEY");
  if (cert && !key) throw new ConfigError("KAFKA_SSL_KEY is required with KAFKA_SSL_CERT");
  if (key && !cert) throw new ConfigError("KAFKA_SSL_CERT is required with KAFKA_SSL_KEY");
  if (cert && key && !new X509Certificate(cert()).checkPrivateKey(createPrivateKey(key()))) {
    throw new ConfigError("KAFKA_SSL_KEY is not the key of the certificate in KAFKA_SSL_CERT");
  }
  return withGetters({ ca, cert, key });
}

/** Read by whoever makes the socket, once a connection. What is not set has no property. */
function withGetters(sources: Record<keyof KafkaTls, (() => string) | undefined>): KafkaTls {
  const tls: KafkaTls = {};
  for (const [name, get] of Object.entries(sources)) {
    if (get) Object.defineProperty(tls, name, { get, enumerable: true });
  }
  return tls;
}

function loadSasl(env: Env): KafkaSasl | undefined {
  const mechanism = oneOf(env, "KAFKA_SASL_MECHANISM", MECHANISMS.slice(1), "none");
  const others = ["KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL", "KAFKA_SASL_OAUTHBEARER_SCOPE"];
  if (mechanism === "none") {
    const needless = [
      "KAFKA_SASL_USERNAME",
      "KAFKA_SASL_PASSWORD",
      "KAFKA_SASL_PASSWORD_FILE",
      ...others,
    ];
    refuse(env, needless, "needs KAFKA_SASL_MECHANISM");
    return undefined;
  }
  const secret = secretSource(env, "KAFKA_SASL_PASSWORD");
  if (mechanism === "oauthbearer") {
    return { mechanism, token: loadToken(env, secret) };
  }
  refuse(env, others, "needs KAFKA_SASL_MECHANISM=oauthbearer");
  return { mechanism, username: username(env), password: secret };
}

/** The token itself where no endpoint is set, else what the endpoint gives for our credentials. */
function loadToken(env: Env, secret: () => string): () => Promise<string> {
  const endpoint = tokenEndpoint(env, "KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL");
  if (endpoint) {
    return clientCredentials({
      endpoint,
      clientId: username(env),
      clientSecret: secret,
      scope: env["KAFKA_SASL_OAUTHBEARER_SCOPE"] || undefined,
    });
  }
  refuse(
    env,
    ["KAFKA_SASL_USERNAME", "KAFKA_SASL_OAUTHBEARER_SCOPE"],
    "needs KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL, or KAFKA_SASL_PASSWORD is itself the token",
  );
  const token = () => {
    const text = secret();
    if (isBearerToken(text)) return text;
    throw new ConfigError("KAFKA_SASL_PASSWORD or its file must be a bearer token");
  };
  token();
  return async () => token();
}

function username(env: Env): string {
  const text = env["KAFKA_SASL_USERNAME"];
  if (!text) throw new ConfigError("KAFKA_SASL_USERNAME is required and not set");
  if (text.includes("\0")) throw new ConfigError("KAFKA_SASL_USERNAME has a NUL in it");
  return text;
}

function tokenEndpoint(env: Env, name: string): URL | undefined {
  const text = env[name];
  if (!text) return undefined;
  const url = URL.parse(text);
  if (!url || !["http:", "https:"].includes(url.protocol) || url.username || url.password) {
    throw new ConfigError(`${name} must be an http(s) URL without a user`);
  }
  return url;
}

/** Refuses variables that would silently do nothing. */
function refuse(env: Env, names: readonly string[], why: string): void {
  const set = names.find((name) => env[name]);
  if (set) throw new ConfigError(`${set} ${why}`);
}

/** The secret, read now for mistakes, and anew each time it is asked for. */
function secretSource(env: Env, name: string): () => string {
  const source = () => {
    const value = secret(env, name);
    if (!value) throw new ConfigError(`${name} or ${name}_FILE is required and not set`);
    if (value.includes("\0")) throw new ConfigError(`${name} or its file has a NUL in it`);
    return value;
  };
  source();
  return source;
}

/** A PEM file's text, read now for mistakes, and anew each time it is asked for. */
function pemSource(
  env: Env,
  name: string,
  label: "CERTIFICATE" | "PRIVATE KEY",
): (() => string) | undefined {
  const path = env[name];
  if (!path) return undefined;
  const source = () => {
    const text = readSmallFile(path, name, PEM_BYTES_MAX);
    if (isPem(text, label)) return text;
    const content = label === "CERTIFICATE" ? "certificates" : "a private key, not encrypted";
    throw new ConfigError(`${name} must be the path of a PEM file with ${content}`);
  };
  source();
  return source;
}

/** Whether a text has blocks of a kind, and each can be read. Keys are also `RSA PRIVATE KEY`, say. */
function isPem(text: string, label: "CERTIFICATE" | "PRIVATE KEY"): boolean {
  const blocks = [...text.matchAll(PEM_BLOCK)].filter(([, found]) => found?.endsWith(label));
  try {
    for (const [block] of blocks) {
      if (label === "CERTIFICATE") void new X509Certificate(block);
      else void createPrivateKey(block);
    }
  } catch {
    return false; // what the library says may quote the file
  }
  return blocks.length > 0;
}
