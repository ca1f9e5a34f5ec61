/** The pages' scripts and styles: bundled in memory when the first page is asked for. */
import { gzipSync } from "bun";
import { join } from "node:path";

const FOLDER = join(import.meta.dir, "../viewer");

/** A file of the bundle, ready to be sent. */
interface Asset {
  readonly type: string;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly zipped: Uint8Array<ArrayBuffer>;
  readonly etag: string;
}

/** What the pages are made of. */
interface Bundle {
  /** By path, `/assets/main-….js`. */
  readonly assets: ReadonlyMap<string, Asset>;
  readonly page: Asset;
}

let bundle: Promise<Bundle> | undefined;

/** @returns the bundle; made once, and again where that failed */
function pages(): Promise<Bundle> {
  bundle ??= build().catch((error: unknown) => {
    bundle = undefined;
    throw error;
  });
  return bundle;
}

async function build(): Promise<Bundle> {
  const { outputs } = await Bun.build({
    entrypoints: [join(FOLDER, "main.tsx"), join(FOLDER, "style.css")],
    target: "browser",
    minify: true,
    splitting: true,
    naming: "[name]-[hash].[ext]",
    publicPath: "/assets/",
    define: { "process.env.NODE_ENV": '"production"' },
    tsconfig: join(FOLDER, "tsconfig.json"),
  });
  const assets = new Map<string, Asset>();
  let script = "";
  let style = "";
  for (const output of outputs) {
    const path = `/assets/${output.path.replace(/^.*\//, "")}`;
    const isStyle = path.endsWith(".css");
    const type = isStyle ? "text/css" : "text/javascript";
    assets.set(path, assetOf(new Uint8Array(await output.arrayBuffer()), type));
    if (isStyle) style = path;
    else if (output.kind === "entry-point") script = path;
  }
  return { assets, page: assetOf(new TextEncoder().encode(html(script, style)), "text/html") };
}

function html(script: string, style: string): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>OrderFlow traces</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="${style}" />
    <script type="module" src="${script}"></script>
  </head>
  <body>
    <div id="app"><noscript>The traces are drawn by a script.</noscript></div>
  </body>
</html>
`;
}

function assetOf(body: Uint8Array<ArrayBuffer>, type: string): Asset {
  return {
    type: `${type}; charset=utf-8`,
    body,
    zipped: gzipSync(body, { level: 9 }),
    etag: `"${Bun.hash(body).toString(36)}"`,
  };
}

/** Nothing but our own files and our own API; styles set from the script do not need an exception. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGES = [
  /^\/$/,
  /^\/trace\/[^/]+$/,
  /^\/compare\/[^/]+\/[^/]+$/,
  /^\/(map|logs|metrics-view)$/,
];

/**
 * Answers what a browser asks for to show a page.
 * @returns undefined for a path that is none of the pages'
 */
export async function answerPage(request: Request, url: URL): Promise<Response | undefined> {
  const isPage = PAGES.some((path) => path.test(url.pathname));
  if (!isPage && !url.pathname.startsWith("/assets/")) return undefined;
  const { assets, page } = await pages();
  const asset = isPage ? page : assets.get(url.pathname);
  if (!asset) return undefined;
  const headers = {
    "Content-Type": asset.type,
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    // Another bundle has other names; the page itself is asked for again each time.
    "Cache-Control": isPage ? "no-cache" : "public, max-age=31536000, immutable",
    ETag: asset.etag,
    Vary: "Accept-Encoding",
  };
  if (request.headers.get("if-none-match") === asset.etag) {
    return new Response(null, { status: 304, headers });
  }
  const takesGzip = /\bgzip\b/.test(request.headers.get("accept-encoding") ?? "");
  if (!takesGzip) return new Response(asset.body, { headers });
  return new Response(asset.zipped, { headers: { ...headers, "Content-Encoding": "gzip" } });
}
