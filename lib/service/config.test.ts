import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ConfigError,
  databaseConfig,
  integer,
  loadServiceConfig,
  oneOf,
  postgresUrl,
  secret,
  serviceUrl,
} from "./config.ts";

/** The message that a ConfigError says, or undefined where nothing is thrown. */
function refusal(load: () => unknown): string | undefined {
  try {
    load();
    return undefined;
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

describe("what every service reads", () => {
  test("has a default for each", () => {
    expect(loadServiceConfig({}, 8080)).toMatchObject({ host: "127.0.0.1", port: 8080 });
    expect(loadServiceConfig({ PORT: "", HOST: "" }, 8080)).toMatchObject({
      host: "127.0.0.1",
      port: 8080,
    });
  });

  test("can be set", () => {
    const config = loadServiceConfig({ PORT: "0", HOST: "0.0.0.0", HTTP_REQUESTS_MAX: "7" }, 8080);
    expect(config).toMatchObject({ host: "0.0.0.0", port: 0, requestsMax: 7 });
  });

  test.each([
    ["PORT", "abc"],
    ["PORT", "-1"],
    ["PORT", "65536"],
    ["PORT", "80.0"],
    ["PORT", "8e3"],
    ["PORT", " 80"],
    ["PORT", "0x50"],
    ["HTTP_REQUESTS_MAX", "0"],
    ["LOG_LEVEL", "INFO"],
    ["LOG_LEVEL", "toString"],
    ["HTTP_INSTRUMENTATION", "auto"],
    ["ORDERFLOW_CODE_LOCATION", "true"],
    ["ORDERFLOW_OPEN_SPANS", "1"],
  ])("%s=%s is refused by name", (name, value) => {
    expect(refusal(() => loadServiceConfig({ [name]: value }, 8080))).toStartWith(name);
  });
});

describe("an integer", () => {
  const bounds = { min: 1, max: 10 };

  test("may be either of its bounds", () => {
    expect(integer({ N: "1" }, "N", 5, bounds)).toBe(1);
    expect(integer({ N: "10" }, "N", 5, bounds)).toBe(10);
    expect(integer({}, "N", 5, bounds)).toBe(5);
  });

  test.each(["0", "11", "1.5", "NaN", "1_0", "٣", "99999999999999999999"])("is not %s", (text) => {
    expect(refusal(() => integer({ N: text }, "N", 5, bounds))).toBe(
      "N must be an integer from 1 to 10",
    );
  });
});

test("a word is one of those that are known", () => {
  expect(oneOf({ W: "b" }, "W", ["a", "b"], "a")).toBe("b");
  expect(oneOf({}, "W", ["a", "b"], "a")).toBe("a");
  expect(refusal(() => oneOf({ W: "c" }, "W", ["a", "b"], "a"))).toBe("W must be one of a, b");
});

describe("another service's address", () => {
  test("loses the slashes at its end, and may have a path", () => {
    for (const [text, url] of [
      ["http://orders:8081", "http://orders:8081"],
      [" http://orders:8081// ", "http://orders:8081"],
      ["https://gateway/orders/", "https://gateway/orders"],
      ["http://[::1]:80", "http://[::1]"],
    ] as const) {
      expect(serviceUrl({ URL: text }, "URL")).toBe(url);
    }
  });

  test.each([
    undefined,
    "",
    "  ",
    "orders:8081",
    "ftp://orders",
    "http://a?b=c",
    "http://a?",
    "http://a/#",
    "http://a#b",
    "http://",
  ])("is not %s", (text) => {
    expect(refusal(() => serviceUrl({ URL: text }, "URL"))).toStartWith("URL ");
  });
});

describe("a secret", () => {
  const folder = mkdtempSync(join(tmpdir(), "orderflow-secret-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const fileWith = (content: string) => {
    const path = join(folder, crypto.randomUUID());
    writeFileSync(path, content);
    return path;
  };

  test("is the variable's value, or what the file holds", () => {
    expect(secret({ KEY: "s3cret" }, "KEY")).toBe("s3cret");
    expect(secret({ KEY_FILE: fileWith("s3cret\n") }, "KEY")).toBe("s3cret");
    expect(secret({ KEY: "", KEY_FILE: fileWith("  s3cret ü \r\n") }, "KEY")).toBe("s3cret ü");
    expect(secret({ KEY: "s3cret", KEY_FILE: "" }, "KEY")).toBe("s3cret");
    expect(secret({ KEY: " ", KEY_FILE: "" }, "KEY")).toBeUndefined();
  });

  test("given twice is refused by both names, and not said", () => {
    const message = refusal(() => secret({ KEY: "s3cret", KEY_FILE: fileWith("s3cret") }, "KEY"));
    expect(message).toBe("KEY and KEY_FILE are both set: only one may be");
  });

  test.each([
    ["is missing", () => join(folder, "none"), "cannot be read (ENOENT)"],
    ["is a folder", () => folder, "cannot be read (EISDIR)"],
    ["is empty", () => fileWith("\n"), "is empty"],
    ["has no end", () => "/dev/zero", "of over 64 KiB"],
  ])("whose file %s is refused by name", (_what, path, reason) => {
    const message = refusal(() => secret({ KEY_FILE: path() }, "KEY"));
    expect(message).toStartWith("KEY_FILE names a file ");
    expect(message).toContain(reason);
  });

  test("can be PostgreSQL's address; a bad one in the file is refused by the file's name", () => {
    const url = "postgres://u:s3cret@h/db";
    expect(databaseConfig({ POSTGRES_URL_FILE: fileWith(`${url}\n`) })).toEqual({
      url,
      pooler: "none",
    });
    const bad = fileWith("postgres://u:s3cret@h");
    const message = refusal(() => databaseConfig({ POSTGRES_URL_FILE: bad }));
    expect(message).toStartWith("the content of POSTGRES_URL_FILE must look like");
    expect(message).not.toContain("s3cret@");
  });
});

test("a pooler is none or transaction", () => {
  const env = { POSTGRES_URL: "postgres://u:p@h/db" };
  expect(databaseConfig(env).pooler).toBe("none");
  expect(databaseConfig({ ...env, POSTGRES_POOLER: "" }).pooler).toBe("none");
  expect(databaseConfig({ ...env, POSTGRES_POOLER: "transaction" }).pooler).toBe("transaction");
  expect(refusal(() => databaseConfig({ ...env, POSTGRES_POOLER: "session" }))).toBe(
    "POSTGRES_POOLER must be one of none, transaction",
  );
});

describe("PostgreSQL's address", () => {
  test("is taken as it is", () => {
    for (const url of ["postgres://u:p@h/db", "postgresql://u:p%40@h:1/db?sslmode=require"]) {
      expect(postgresUrl({ POSTGRES_URL: url })).toBe(url);
    }
  });

  test.each([
    undefined,
    "nonsense",
    "mysql://u:s3cret@h/db",
    "postgres://u:s3cret@h",
    "postgres://u:s3cret@h/",
    "postgres:///db",
    "postgres://u:s3cret%@h/db",
    "postgres://u:s3cret@h:port/db",
    "postgres://u:s3cret@h:0/db",
    "postgres://u:s3cret@h/db?sslmode=s3cret",
    "postgres://u:s3cret@h/db?application_name=%00",
    "postgres://u:s3cret@h/db%00x",
    "postgres://u%00:s3cret@h/db",
    "postgres://u:s3cret%00@h/db",
  ])("is not %s, and the password is not said", (url) => {
    const message = refusal(() => postgresUrl({ POSTGRES_URL: url }));
    expect(message).toStartWith("POSTGRES_URL ");
    expect(message).not.toContain("s3cret");
  });
});

test.each(["999.1.1.1", "1.2.3", "::1::", "[::1]", "a b", "http://localhost", "a/b", "ü"])(
  "HOST=%s is no address and no name",
  (HOST) => {
    expect(() => loadServiceConfig({ HOST }, 8080)).toThrow("HOST must be an IP address or a host");
  },
);

test.each(["0.0.0.0", "::", "::1", "fe80::1%eth0", "localhost", "my-host.example"])(
  "HOST=%s is left to the system",
  (HOST) => {
    expect(loadServiceConfig({ HOST }, 8080).host).toBe(HOST);
  },
);
