/** tracedFetch beside fetch: the same calls to the same server, and everything that can be seen of them. */
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recordSpans, type SpanRecording } from "../testing/record-spans.ts";
import { tracedFetch, type FetchInit } from "./client.ts";

setDefaultTimeout(30_000);

type FetchArguments = [input: string | URL | Request, init?: FetchInit];

/** What a server is sent, and what the caller gets: two calls are alike where these are. */
interface Observed {
  sent: string[];
  got: unknown;
}

const BOUNDARY = /-{4}WebKitFormBoundary\w+/g;
const PLACE = /^\/to\/(\d+)$/;
let sent: string[] = [];
let home = "";
let elsewhere = "";
let folder = "";
let recording: SpanRecording;
const servers: Bun.Server<undefined>[] = [];

/** Notes a request but for what only traced ones have, and what is another at each call. */
async function note(request: Request): Promise<string> {
  const headers = [...request.headers].filter(([name]) => name !== "traceparent");
  const body = (await request.text()).replaceAll(BOUNDARY, "BOUNDARY");
  const line = `${request.method} ${request.url} ${JSON.stringify(headers)}`;
  sent.push(`${line.replaceAll(BOUNDARY, "BOUNDARY")} ${body}`);
  return body;
}

async function answer(request: Request): Promise<Response> {
  const body = await note(request);
  const { pathname, searchParams } = new URL(request.url);
  const status = PLACE.exec(pathname)?.[1];
  const location = searchParams.get("at");
  if (status) {
    const init = { status: Number(status) };
    return new Response("moved", location === null ? init : { ...init, headers: { location } });
  }
  if (pathname === "/packed") {
    const headers = { "content-encoding": "gzip", "x-a": "1" };
    return new Response(Bun.gzipSync("packed".repeat(50)), { headers });
  }
  if (pathname === "/loop") return Response.redirect("/loop", 302);
  if (pathname === "/none") return new Response(null, { status: 204 });
  if (pathname === "/missing") return Response.json({ error: "no such thing" }, { status: 404 });
  return new Response(`${request.method} ${pathname} ${body}`, { headers: { "x-b": "2" } });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "traced-fetch-test-"));
  const place = { hostname: "127.0.0.1", port: 0, fetch: answer };
  servers.push(Bun.serve(place), Bun.serve(place));
  const fetchBySocket = (request: Request) => {
    sent.push("by the socket:");
    return answer(request);
  };
  servers.push(Bun.serve({ unix: join(folder, "socket"), fetch: fetchBySocket }));
  [home = "", elsewhere = ""] = servers.map(({ port }) => `http://127.0.0.1:${port}`);
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop(true)));
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  recording = recordSpans();
});
afterEach(() => recording.stop());

async function observe(how: typeof fetch, call: () => FetchArguments): Promise<Observed> {
  sent = [];
  const got = await outcome(how, call);
  return { sent, got };
}

async function outcome(how: typeof fetch, call: () => FetchArguments): Promise<unknown> {
  try {
    const response = await how(...call());
    const copy = response.clone();
    const { status, statusText, ok, redirected, url, type } = response;
    return {
      head: { status, statusText, ok, redirected, url, type },
      headers: [...response.headers].filter(([name]) => name !== "date"),
      bytes: Buffer.from(await response.arrayBuffer()).toString("base64"),
      copy: [copy.redirected, copy.url, copy.clone().redirected, await copy.text()],
    };
  } catch (error) {
    const { name, code, path, errno } = error as Error & Record<string, unknown>;
    return { class: (error as Error).constructor.name, name, code, path, errno };
  }
}

const to = (status: number, at: string) => `${home}/to/${status}?at=${encodeURIComponent(at)}`;
const withUser = (url: string) => url.replace("//", "//ann:word@");
const stream = () =>
  new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode("in "));
      controller.enqueue(new TextEncoder().encode("parts"));
      controller.close();
    },
  });
async function* parts() {
  yield "in ";
  yield "parts";
}
const form = () => {
  const data = new FormData();
  data.set("a", "1");
  data.set("file", new Blob(["x"], { type: "text/x" }), "x.txt");
  return data;
};
const post = (body: FetchInit["body"], headers: Bun.HeadersInit = {}) => ({
  method: "POST",
  body,
  headers,
});
const UNDEFINED = { method: undefined, headers: undefined } as unknown as FetchInit;
const SECRET = { authorization: "A", cookie: "a=b", "proxy-authorization": "P", "x-own": "1" };

/** Name, number of spans, call. */
const CALLS: [string, number, () => FetchArguments][] = [
  // What may be called.
  ["a string", 1, () => [`${home}/a?b=c#d`]],
  ["a URL", 1, () => [new URL("/a", home)]],
  ["a Request", 1, () => [new Request(`${home}/a`, { headers: { "x-a": "1" } })]],
  ["an object with toString", 1, () => [{ toString: () => `${home}/a` } as unknown as URL]],
  ["a string with blanks around it", 1, () => [`  ${home}/a `]],
  ["a user's URL", 1, () => [`${withUser(home)}/a`]],
  ["no URL", 0, () => ["nowhere"]],
  ["a URL without a host", 0, () => ["http://"]],
  ["nothing", 0, () => [undefined as unknown as string]],
  ["data", 0, () => ["data:text/plain,hi"]],
  ["nobody", 1, () => ["http://127.0.0.1:1/x?y"]],
  ["a missing thing", 1, () => [`${home}/missing`]],
  ["no content", 1, () => [`${home}/none`]],
  // Bodies.
  ["text", 1, () => [home, post("text")]],
  ["an ArrayBuffer", 1, () => [home, post(new Uint8Array([1, 2]).buffer)]],
  ["a typed array", 1, () => [home, post(new Uint8Array([1, 2]))]],
  ["a Blob", 1, () => [home, post(new Blob(["b"], { type: "a/b" }))]],
  ["a form", 1, () => [home, post(form())]],
  ["search parameters", 1, () => [home, post(new URLSearchParams({ a: "ü" }))]],
  ["a stream", 1, () => [home, post(stream())]],
  ["what a generator yields", 1, () => [home, post(parts())]],
  ["a Request's text", 1, () => [new Request(home, post("text", { "x-a": "1" }))]],
  ["a Request's form", 1, () => [new Request(home, post(form()))]],
  ["a Request's stream", 1, () => [new Request(home, post(stream()))]],
  ["a body with GET", 1, () => [home, { body: "b" }]],
  // What may be said with it.
  ["no more", 1, () => [home, undefined]],
  ["undefined settings", 1, () => [home, UNDEFINED]],
  [
    "a Request and undefined settings",
    2,
    () => [new Request(to(302, "/end"), { headers: SECRET }), UNDEFINED],
  ],
  ["no signal", 1, () => [home, { signal: null }]],
  ["Headers", 1, () => [home, { headers: new Headers([["X-A", "1"]]) }]],
  [
    "a list of headers",
    1,
    () => [
      home,
      {
        headers: [
          ["X-A", "1"],
          ["x-a", "2"],
          ["cookie", "a=1"],
        ],
      },
    ],
  ],
  ["a record of headers", 1, () => [home, { headers: { "X-A": "1", "Content-Type": "a/b" } }]],
  ["a bad header", 1, () => [home, { headers: { "x a": "1" } }]],
  [
    "headers in place of a Request's",
    1,
    () => [new Request(home, { headers: SECRET }), { headers: { "x-a": "1" } }],
  ],
  [
    "settings over a Request's",
    1,
    () => [new Request(home, post("a")), { method: "PUT", body: "b" }],
  ],
  [
    "a Request as settings",
    1,
    () => [home, new Request("http://x/", post("b", { "x-a": "1" })) as never],
  ],
  ["inherited settings", 1, () => [home, Object.create(post("b"))]],
  ...["get", "HEAD", "patch", "DELETE", "OPTIONS", "QUERY", "PURGE", "NONSENSE"].map(
    (method): (typeof CALLS)[number] => [`method ${method}`, 1, () => [home, { method }]],
  ),
  ["a body as it came", 1, () => [`${home}/packed`, { decompress: false }]],
  ["a packed body", 1, () => [`${home}/packed`]],
  ["a socket", 1, () => ["http://host/a", { unix: join(folder, "socket") }]],
  ["a proxy", 1, () => ["http://no-such.invalid/a", { proxy: elsewhere }]],
  ["no proxy, a session", 1, () => [home, { session: new Bun.FetchSession({ proxy: false }) }]],
  // Redirects.
  ...[301, 302, 303, 307, 308].flatMap((status): typeof CALLS => [
    [`${status}`, 2, () => [to(status, "/end")]],
    [`${status} to POST`, 2, () => [to(status, "/end"), post("b", { "content-language": "de" })]],
    [`${status} to post`, 2, () => [to(status, "/end"), { ...post("b"), method: "post" }]],
    [`${status} to PUT`, 2, () => [to(status, "/end"), { ...post("b"), method: "put" }]],
    [`${status} to HEAD`, 2, () => [to(status, "/end"), { method: "HEAD" }]],
    [`${status} to DELETE`, 2, () => [to(status, "/end"), { method: "DELETE" }]],
    [`${status} to a form`, 2, () => [to(status, "/end"), post(form())]],
    [`${status} elsewhere`, 2, () => [to(status, `${elsewhere}/end`), { headers: SECRET }]],
    [`${status} to a Request`, 2, () => [new Request(to(status, "/end"), { headers: SECRET })]],
    // What a Request holds may be a stream, and a stream can be sent once: fetch follows by itself.
    [`${status} to a Request's text`, 1, () => [new Request(to(status, "/end"), post("b"))]],
    [`${status} to a stream`, 1, () => [to(status, "/end"), post(stream())]],
    [`${status} to a generator`, 1, () => [to(status, "/end"), post(parts())]],
    [
      `${status} to a file`,
      2,
      () => [to(status, "/end"), post(Bun.file(import.meta.path).slice(0, 9))],
    ],
    [`${status} without a place`, 1, () => [`${home}/to/${status}`]],
    [`${status}, not to be followed`, 1, () => [to(status, "/end"), { redirect: "manual" }]],
    [`${status}, an error`, 1, () => [to(status, "/end"), { redirect: "error" }]],
  ]),
  ["300", 1, () => [to(300, "/end")]],
  ["a Request not to be followed", 1, () => [new Request(to(302, "/"), { redirect: "manual" })]],
  ["a redirect of nonsense", 1, () => [home, { redirect: "nonsense" as "follow" }]],
  ["a redirect with another query", 2, () => [to(302, "?c=d")]],
  ["a redirect to a fragment", 2, () => [`${to(302, "/end#new")}#old`]],
  ["a redirect in UTF-8", 2, () => [to(302, "/\u00c3\u00bc b")]],
  [
    "a redirect there and back",
    3,
    () => [to(302, `${elsewhere}/to/302?at=${home}`), { headers: SECRET }],
  ],
  ["a user's redirect", 2, () => [withUser(to(302, "/end"))]],
  ["a user's redirect elsewhere", 2, () => [withUser(to(302, elsewhere))]],
  [
    "a redirect from a socket",
    2,
    () => [`http://host/to/302?at=${home}`, { unix: join(folder, "socket") }],
  ],
  ["too many redirects", 4, () => [`${home}/loop`, { maxRedirects: 3 }]],
  ["no redirect allowed", 1, () => [to(302, "/end"), { maxRedirects: 0 }]],
  ["a redirect to no URL", 1, () => [to(302, "http://:::/")]],
  ["a redirect to a file", 1, () => [to(302, "file:///etc/hosts")]],
  ["a redirect to data", 1, () => [to(302, "data:,hi")]],
];

test.each(CALLS)("a call with %s goes as with fetch, under %d spans", async (_, spans, call) => {
  const plain = await observe(fetch, call);
  expect(recording.spans()).toHaveLength(0);
  const traced = await observe(tracedFetch, call);
  expect(traced).toEqual(plain);
  expect(recording.spans()).toHaveLength(spans);
});

test("redirects without an end are given up where fetch gives up", async () => {
  const plain = await observe(fetch, () => [`${home}/loop`]);
  const traced = await observe(tracedFetch, () => [`${home}/loop`]);
  expect(traced).toEqual(plain);
  expect(plain.got).toMatchObject({ code: "TooManyRedirects" });
  expect(recording.spans()).toHaveLength(plain.sent.length);
  expect(recording.spans().at(-1)?.attributes["error.type"]).toBe("TooManyRedirects");
});

test.each([
  ["goes with it to the same origin", () => `${home}/end`, (url: string) => url],
  ["is not chosen by who redirects", () => elsewhere, (url: string) => withUser(url)],
])("a user of a URL %s, as with fetch", async (_, place, of) => {
  // The answer's `url` names the user that is sent along; fetch's names the one of the redirect.
  const url = withUser(to(302, of(place())));
  const plain = await observe(fetch, () => [url]);
  const traced = await observe(tracedFetch, () => [url]);
  expect(traced.sent).toEqual(plain.sent);
});

test("connections can be opened in advance, as with fetch", () => {
  expect(tracedFetch.preconnect).toBe(fetch.preconnect);
});
