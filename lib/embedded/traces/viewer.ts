/** The trace pages for a browser: three static files, and the headers that keep hostile traces harmless. */
import { join } from "node:path";

/**
 * @returns the page for `/` and `/trace/{id}`, its script or its style; undefined for any other path
 */
export function answerViewer(url: URL): Response | undefined {
  if (url.pathname === "/" || /^\/trace\/[^/]+$/.test(url.pathname)) {
    return file("index.html", "text/html");
  }
  if (url.pathname === "/viewer.css") return file("viewer.css", "text/css");
  if (url.pathname === "/viewer.js") return file("viewer.js", "text/javascript");
  return undefined;
}

/** Nothing but our own files and our own API; styles set from the script do not need an exception. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

function file(name: string, type: string): Response {
  return new Response(Bun.file(join(import.meta.dir, "viewer", name)), {
    headers: {
      "Content-Type": `${type}; charset=utf-8`,
      "Content-Security-Policy": POLICY,
      "X-Content-Type-Options": "nosniff",
      "Cache-Control": "no-cache",
    },
  });
}
