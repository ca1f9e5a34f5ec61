/** Path of a Chromium: the one that CHROMIUM names, or `chromium` on the path; undefined where there is none. */
export const chromiumPath = process.env["CHROMIUM"] || (Bun.which("chromium") ?? undefined);
