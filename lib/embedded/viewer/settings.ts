/** What a person has chosen, kept in this browser. */
import { effect, signal, type Signal } from "@preact/signals";

/** Times in UTC, else in this machine's zone. */
export const utc = kept("utc", false);
/** "" follows the system. */
export const theme = kept<"" | "light" | "dark">("theme", "");
/** Whether log records have rows in the waterfall. */
export const logRows = kept("log-rows", true);
/** Which editor a source line opens in. */
export const editor = kept("editor", "vscode");

/** Editors, and the address that opens a file in each. */
export const EDITORS: Readonly<Record<string, (path: string, line: number) => string>> = {
  vscode: (path, line) => `vscode://file${path}:${line}`,
  cursor: (path, line) => `cursor://file${path}:${line}`,
  zed: (path, line) => `zed://file${path}:${line}`,
  idea: (path, line) => `idea://open?file=${encodeURIComponent(path)}&line=${line}`,
  sublime: (path, line) => `subl://open?url=file://${encodeURIComponent(path)}&line=${line}`,
};

function kept<T>(name: string, initial: T): Signal<T> {
  const key = `orderflow.${name}`;
  let value = initial;
  try {
    value = JSON.parse(localStorage.getItem(key) ?? "null") ?? initial;
  } catch {
    // A browser that keeps nothing, or something that is none of ours.
  }
  const made = signal(value);
  effect(() => {
    try {
      localStorage.setItem(key, JSON.stringify(made.value));
    } catch {
      // It is forgotten with the page.
    }
  });
  return made;
}

effect(() => {
  document.documentElement.dataset["theme"] = theme.value;
});
