import { describe, expect, test } from "bun:test";
import { assert, property, stringMatching } from "fast-check";
import { isSecretName, redactPath, redactQuery, redactText } from "./redact.ts";

describe("a name says that its value is secret", () => {
  test.each([
    "password",
    "PASSWORD",
    "dbPassword",
    "PGPASSWORD",
    "POSTGRES_PASSWORD",
    "passwd",
    "pwd",
    "pass",
    "passphrase",
    "secret",
    "client_secret",
    "clientSecret",
    "token",
    "accessToken",
    "x-api-key",
    "apiKey",
    "API_KEY",
    "authorization",
    "Proxy-Authorization",
    "cookie",
    "Set-Cookie",
    "credentials",
    "private_key",
    "privateKey",
    "secretAccessKey",
    "accesstoken",
    "APIToken",
    "clientsecret",
    "userpwd",
    "auth",
    "jwt",
  ])("%s", (name) => expect(isSecretName(name)).toBe(true));

  test.each([
    "order_id",
    "customer_id",
    "passenger",
    "compass",
    "tokens",
    "design",
    "monkey",
    "author",
    "secretary",
    "",
  ])("%p does not", (name) => expect(isSecretName(name)).toBe(false));
});

describe("a query string", () => {
  test.each([
    // The default list of the HTTP conventions.
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
    // And ours.
    "key",
    "code",
    "sid",
    "sessionid",
    "session_id",
    "otp",
    "SAMLResponse",
    "PHPSESSID",
    "connect.sid",
    "code_verifier",
    "key[]",
    "access_token",
    "password",
    "api_key",
    "p%61ssword",
    "%70assword%",
    "idtoken",
  ])("hides the value of %s and keeps its name", (name) => {
    expect(redactQuery(`a=1&${name}=hunter2&b=2`)).toBe(`a=1&${name}=REDACTED&b=2`);
  });

  test.each([
    "limit=50&cursor=abc",
    "keyword=a&zipcode=1&sessions=2",
    "a&b=",
    "",
    "&&",
    "=x",
    "a=b=c",
    "%ZZ=1",
  ])("leaves %p as it is", (query) => expect(redactQuery(query)).toBe(query));

  test.each([
    ["x=postgres://u:hunter2@h&a=1", "x=postgres://REDACTED:REDACTED@h&a=1"],
    ["redirect=https%3A%2F%2Fu%3Ahunter2%40h", "redirect=https://REDACTED:REDACTED@h"],
    ["q=password%3Dhunter2", "q=password=REDACTED"],
    ["a=1;password=hunter2", "a=1;password=REDACTED"],
  ])("hides what is secret within %s", (query, shown) => expect(redactQuery(query)).toBe(shown));

  test("hides a value that holds an equals sign", () => {
    expect(redactQuery("token=a=b")).toBe("token=REDACTED");
  });
});

describe("a path", () => {
  test.each([
    ["/orders/postgres://u:hunter2@h", "/orders/postgres://REDACTED:REDACTED@h"],
    ["/inventory/Authorization:%20Token%20abc123", "/inventory/Authorization:%20REDACTED"],
  ])("%s", (path, shown) => expect(redactPath(path)).toBe(shown));

  test.each(["/orders/7", "/inventory/100%25%ZZ%20a:b"])("%s: nothing to hide", (path) =>
    expect(redactPath(path)).toBe(path),
  );
});

describe("a text", () => {
  test.each([
    [
      "connect postgres://orderflow:hunter2@db:5432/orderflow failed",
      "connect postgres://REDACTED:REDACTED@db:5432/orderflow failed",
    ],
    ["postgres://me@db/x", "postgres://REDACTED:REDACTED@db/x"],
    ["postgres://u:p@ss@db/x", "postgres://REDACTED:REDACTED@db/x"],
    ["a://u:p@h,b://v:q@i", "a://REDACTED:REDACTED@h,b://REDACTED:REDACTED@i"],
    ["Authorization: Bearer abc.def", "Authorization: REDACTED"],
    ["authorization: Basic dTpw", "authorization: REDACTED"],
    ['{"password":"hunter2","a":1}', '{"password":REDACTED,"a":1}'],
    ["password=hunter2;host=db", "password=REDACTED;host=db"],
    ["client_secret=hunter2&a=1", "client_secret=REDACTED&a=1"],
    ["POSTGRES_PASSWORD=hunter2", "POSTGRES_PASSWORD=REDACTED"],
    ["token: 'a b'", "token: REDACTED"],
    ["Authorization: Token abc123", "Authorization: REDACTED"],
    ["Authorization: ApiKey k9\nnext", "Authorization: REDACTED\nnext"],
    ['Authorization: Digest username="x", response="dead"', "Authorization: REDACTED"],
    [String.raw`{\"password\":\"hunter2\",\"a\":1}`, String.raw`{\"password\":REDACTED,\"a\":1}`],
    [String.raw`{"password":"hun\"ter2","a":1}`, '{"password":REDACTED,"a":1}'],
    ["password=hun,ter2", "password=REDACTED"],
    ["pass=hunter2", "pass=REDACTED"],
    ["passphrase: hunter2, user: x", "passphrase: REDACTED, user: x"],
    ["sent Bearer eyJhbGciOi.abc", "sent Bearer REDACTED"],
    ["sent Basic dXNlcjpwYXNz", "sent Basic REDACTED"],
    ["postgres://u:p/w@h/x", "postgres://REDACTED:REDACTED@h/x"],
    ["postgres://u@h:5432/x", "postgres://REDACTED:REDACTED@h:5432/x"],
    ["a://h:1/x,b://u:p@i:2/y@z", "a://h:1/x,b://REDACTED:REDACTED@i:2/y@z"],
    ["1http://u:p@h", "1http://REDACTED:REDACTED@h"],
    [`${"x".repeat(40)}://u:p@h`, `${"x".repeat(40)}://REDACTED:REDACTED@h`],
    ['{"password":"hun', '{"password":REDACTED'],
    [String.raw`{\"password\":\"hun`, String.raw`{\"password\":REDACTED`],
    ["password='hun ter2", "password=REDACTED"],
    ["password=a, user=b", "password=REDACTED, user=b"],
  ])("%s", (text, shown) => expect(redactText(text)).toBe(shown));

  test.each([
    "order 7 is confirmed",
    "see http://example.com/a@b",
    "mail to a@example.com",
    "the password is wrong",
    "http://127.0.0.1:8080/orders?limit=3",
    "http://127.0.0.1:8080/orders?to=a@b",
    "a basic understanding",
  ])("%s: nothing to hide", (text) => expect(redactText(text)).toBe(text));

  test("never shows a URL's password, whatever it is made of", () => {
    const word = stringMatching(/^[A-Za-z0-9._~!$&()*+,;=:@%-]{1,30}$/);
    assert(
      property(word, word, (user, password) => {
        const shown = redactText(`open postgres://${user}:${password}@db:5432/name now`);
        expect(shown).toBe("open postgres://REDACTED:REDACTED@db:5432/name now");
      }),
    );
  });
});
