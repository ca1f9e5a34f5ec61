/** .dockerignore: which files of the project a Dockerfile can see. */

/**
 * Reads the patterns; the last one that matches a path, or a folder above it, decides.
 * @returns whether a path, from the project's folder, is left out
 * @see https://docs.docker.com/build/concepts/context/#dockerignore-files
 */
export function dockerIgnore(text: string): (path: string) => boolean {
  const rules = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => ({
      isException: line.startsWith("!"),
      glob: new Bun.Glob(line.replace(/^!/, "").replace(/^\/|\/$/g, "")),
    }));
  return (path) => {
    let isLeftOut = false;
    for (const { isException, glob } of rules) {
      if (withParents(path).some((part) => glob.match(part))) isLeftOut = !isException;
    }
    return isLeftOut;
  };
}

/** "a/b/c" as ["a", "a/b", "a/b/c"]. */
function withParents(path: string): string[] {
  const parts = path.split("/");
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}
