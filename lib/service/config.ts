/**
 * Configuration from the environment, read once at the edge. A bad value stops the start with one
 * line that names its variable, so that no handler ever meets it.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { isIP } from "node:net";
import { SQL } from "bun";
import { forEachCalled, urlVariable, type CalledBy, type ServiceName } from "./services.ts";

export type Env = Readonly<Record<string, string | undefined>>;

/** A variable is missing or malformed. The message names it and never shows its value's secret. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

export interface ServiceConfig {
  /** Address to listen on. */
  host: string;
  /** 0 takes any free port; the log's `listening` line tells which. */
  port: number;
  /** Requests handled at a time; more are answered 503 with Retry-After. */
  requestsMax: number;
}

/** Where the database is, and what stands between. */
export interface DatabaseConfig {
  /** `postgres://user:password@host:port/database`; a secret. */
  readonly url: string;
  /** "transaction": behind a pooler that gives each transaction another server connection. */
  readonly pooler: "none" | "transaction";
}

/** More than any URL, password or key in PEM form needs. */
const SECRET_BYTES_MAX = 64 * 1024;

/** What every service reads. @param defaultPort the contract's port of this service */
export function loadServiceConfig(env: Env, defaultPort: number): Readonly<ServiceConfig> {
  oneOf(env, "LOG_LEVEL", ["debug", "info", "warn", "error"], "info");
  oneOf(env, "HTTP_INSTRUMENTATION", ["manual", "elysia", "off"], "manual");
  oneOf(env, "ORDERFLOW_CODE_LOCATION", ["on", "off"], "off");
  oneOf(env, "ORDERFLOW_OPEN_SPANS", ["on", "off"], "off");
  return {
    host: listenAddress(env),
    port: integer(env, "PORT", defaultPort, { min: 0, max: 65_535 }),
    requestsMax: integer(env, "HTTP_REQUESTS_MAX", 512, { min: 1, max: 100_000 }),
  };
}

/** What looks like an address is one: a resolver that is asked for the rest may know any name. */
function listenAddress(env: Env): string {
  const host = env["HOST"] || "127.0.0.1";
  const isAddress = /^[\d.]+$|:/.test(host);
  if (isAddress ? isIP(host.replace(/%.*$/, "")) === 0 : !/^[\w.-]{1,253}$/.test(host)) {
    throw new ConfigError("HOST must be an IP address or a host name");
  }
  return host;
}

/** An integer within bounds; an empty variable counts as not set. */
export function integer(
  env: Env,
  name: string,
  fallback: number,
  bounds: { min: number; max: number },
): number {
  const text = env[name];
  if (!text) return fallback;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= bounds.min && value <= bounds.max)) {
    throw new ConfigError(`${name} must be an integer from ${bounds.min} to ${bounds.max}`);
  }
  return value;
}

/** How often a service looks for rows that it no longer needs, in milliseconds. */
export function cleanUpInterval(env: Env): number {
  return integer(env, "CLEANUP_INTERVAL_MS", 300_000, { min: 100, max: 86_400_000 });
}

/** One of some words. */
export function oneOf<Word extends string>(
  env: Env,
  name: string,
  words: readonly Word[],
  fallback: Word,
): Word {
  const text = env[name];
  if (!text) return fallback;
  const word = words.find((known) => known === text);
  if (!word) throw new ConfigError(`${name} must be one of ${words.join(", ")}`);
  return word;
}

/** The base URL of another service: required, http or https, without query. A last `/` is cut off. */
export function serviceUrl(env: Env, name: string): string {
  const url = parseUrl(required(env, name), name);
  // Of the text: an empty query is none to URL, and would still swallow the paths put behind it.
  if (!["http:", "https:"].includes(url.protocol) || /[?#]/.test(url.href)) {
    throw new ConfigError(`${name} must be an http(s) URL without a query`);
  }
  return url.href.replace(/\/+$/, "");
}

/**
 * The base URLs of those whom a service calls, by their names.
 * @throws ConfigError where one is not set, or is none
 */
export function calledUrls<Name extends ServiceName>(
  env: Env,
  name: Name,
): Readonly<Record<CalledBy<Name>, string>> {
  return forEachCalled(name, (called) => serviceUrl(env, urlVariable(called)));
}

/**
 * A secret: the value of `NAME`, or the content of the file that `NAME_FILE` names, as container
 * platforms mount them. White space around it is cut off; the file is read once, here.
 * @returns undefined where neither is set; an empty variable counts as not set
 * @throws ConfigError where both are set, as with the official images of PostgreSQL and others, or
 *   where the file cannot be read, is empty or is larger than 64 KiB; never quotes the secret
 */
export function secret(env: Env, name: string): string | undefined {
  const text = env[name]?.trim();
  const file = env[`${name}_FILE`];
  if (!file) return text || undefined;
  if (text) throw new ConfigError(`${name} and ${name}_FILE are both set: only one may be`);
  return readSmallFile(file, `${name}_FILE`);
}

/** PostgreSQL's address and what stands before it, as `openDatabase` wants them. */
export function databaseConfig(env: Env): DatabaseConfig {
  return {
    url: postgresUrl(env),
    pooler: oneOf(env, "POSTGRES_POOLER", ["none", "transaction"], "none"),
  };
}

/** PostgreSQL's connection URL, from `NAME` or the file of `NAME_FILE`: required, with a database name. */
export function postgresUrl(env: Env, variable = "POSTGRES_URL"): string {
  const text = secret(env, variable);
  if (!text) throw new ConfigError(`${variable} is required and not set, nor is ${variable}_FILE`);
  const name = env[`${variable}_FILE`] ? `the content of ${variable}_FILE` : variable;
  const url = parseUrl(text, name);
  if (
    !["postgres:", "postgresql:"].includes(url.protocol) ||
    !url.hostname ||
    url.pathname.length < 2
  ) {
    throw new ConfigError(`${name} must look like postgres://user:password@host:port/database`);
  }
  let parts: string[];
  try {
    parts = [url.username, url.password, url.pathname].map(decodeURIComponent);
  } catch {
    throw new ConfigError(`${name} has a % that is not part of a percent-encoding`);
  }
  if (parts.some((part) => part.includes("\0"))) throw new ConfigError(`${name} has a NUL in it`);
  try {
    // Connects to nothing yet, but reads all of it. What it says may quote the URL.
    void new SQL(text);
  } catch {
    throw new ConfigError(`${name} has a port or an option that is not valid`);
  }
  return text;
}

/** The text of a variable that has to be there. @throws ConfigError that names it */
export function required(env: Env, name: string): string {
  const text = env[name]?.trim();
  if (!text) throw new ConfigError(`${name} is required and not set`);
  return text;
}

/**
 * What a file holds, without the white space around it.
 * @param name the variable that named the file, for the error
 * @throws ConfigError where the file cannot be read, is empty or too large; says neither path nor content
 */
export function readSmallFile(path: string, name: string, bytesMax = SECRET_BYTES_MAX): string {
  const bytes = Buffer.alloc(bytesMax + 1);
  let length = 0;
  try {
    const file = openSync(path, "r");
    try {
      // Not readFileSync: /dev/zero would have no end.
      for (let read = -1; read !== 0 && length < bytes.length; length += read) {
        read = readSync(file, bytes, length, bytes.length - length, null);
      }
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const { code = "unknown error" } = error as NodeJS.ErrnoException;
    throw new ConfigError(`${name} names a file that cannot be read (${code})`);
  }
  if (length > bytesMax) {
    throw new ConfigError(`${name} names a file of over ${bytesMax / 1024} KiB`);
  }
  const text = bytes.toString("utf8", 0, length).trim();
  if (!text) throw new ConfigError(`${name} names a file that is empty`);
  return text;
}

function parseUrl(text: string, name: string): URL {
  try {
    return new URL(text);
  } catch {
    throw new ConfigError(`${name} is not a URL`);
  }
}
