/** Serves the files of a folder, to this machine alone. */
import { join, normalize } from "node:path";

export interface ServedFolder extends AsyncDisposable {
  /** Ends in "/". */
  readonly url: string;
}

const HOST = "127.0.0.1";

/**
 * @param folder with a 404.html for what it has not
 * @param ports are tried in this order; 0 is any free one
 * @throws Error where all of them are taken
 */
export function serveFolder(folder: string, ports: readonly number[]): ServedFolder {
  const server = listen(ports, async (request) => {
    const path = pathOf(request);
    if (path === undefined) return new Response("not found", { status: 404 });
    const file = Bun.file(join(folder, path.endsWith("/") ? `${path}index.html` : path));
    if (await file.exists()) return new Response(file);
    // As it is typed by hand: without what ends a folder's address, or a page's.
    const endings = [
      ["/", "/index.html"],
      [".html", ".html"],
    ] as const;
    for (const [ending, rest] of path.endsWith("/") ? [] : endings) {
      const isThere = await Bun.file(join(folder, path + rest)).exists();
      if (isThere) return Response.redirect(`${path}${ending}`, 302);
    }
    return new Response(Bun.file(join(folder, "404.html")), { status: 404 });
  });
  return {
    url: `http://localhost:${server.port}/`,
    [Symbol.asyncDispose]: async () => await server.stop(true),
  };
}

/** @returns undefined for what cannot be a path of the folder */
function pathOf(request: Request): string | undefined {
  try {
    const path = normalize(decodeURIComponent(new URL(request.url).pathname));
    return path.startsWith("/") && !path.startsWith("//") && !path.includes("\0")
      ? path
      : undefined;
  } catch {
    return undefined;
  }
}

function listen(
  ports: readonly number[],
  fetch: (request: Request) => Promise<Response>,
): Bun.Server<undefined> {
  let failure: unknown;
  for (const port of ports) {
    try {
      return Bun.serve({ hostname: HOST, port, fetch });
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
