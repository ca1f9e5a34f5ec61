/** Which page is shown: the address, and moving to another without loading anew. */
import { signal } from "@preact/signals";

/** Of the address as it is. */
export const path = signal(location.pathname);
export const query = signal(new URLSearchParams(location.search));

/** @returns a parameter of the address; "" where it has none */
export function parameter(name: string): string {
  return query.value.get(name) ?? "";
}

/** Goes to another page. */
export function go(href: string): void {
  history.pushState(null, "", href);
  read();
  scrollTo(0, 0);
}

/** Changes the query of this page; a value of "" or undefined takes a parameter out. */
export function setQuery(
  changes: Readonly<Record<string, string | undefined>>,
  how: "push" | "replace" = "replace",
): void {
  const next = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries(changes)) {
    if (value) next.set(key, value);
    else next.delete(key);
  }
  const text = next.toString();
  const href = location.pathname + (text && `?${text}`);
  if (how === "push") history.pushState(null, "", href);
  else history.replaceState(null, "", href);
  read();
}

function read(): void {
  path.value = location.pathname;
  query.value = new URLSearchParams(location.search);
}

addEventListener("popstate", read);

// Links are plain links, so that they open in a new tab as any other; a plain click stays in this page.
document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || link.target || link.origin !== location.origin || link.hasAttribute("download"))
    return;
  event.preventDefault();
  if (link.href !== location.href) go(link.href);
});
