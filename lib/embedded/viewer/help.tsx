/** The sheet that says which keys there are. */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

/** Whether it is shown. */
export const helpIsOpen = signal(false);

const KEYS: readonly (readonly [keys: string, what: string])[] = [
  ["/", "find: a text, an attribute, key=value"],
  ["↑ ↓", "the span above, below"],
  ["← →", "hide what is below a span, or go to its parent; show it, or go to its first child"],
  ["Home End", "the first, the last span"],
  ["n N", "the next, the previous one found"],
  ["e E", "the next, the previous failed one"],
  ["+ - 0", "zoom in on the chosen span, out, all"],
  ["c", "the critical path"],
  ["f", "fold repeats"],
  ["l", "log records among the spans"],
  ["Esc", "clear what is looked for"],
  ["?", "this sheet"],
];

/** A dialog, so that Esc and focus are the browser's business. */
export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (helpIsOpen.value) dialog.current?.showModal();
    else dialog.current?.close();
  }, [helpIsOpen.value]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "?" && !isTyping(event)) helpIsOpen.value = !helpIsOpen.value;
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby="help-title" onClose={() => (helpIsOpen.value = false)}>
      <h2 id="help-title">Keys</h2>
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}

/** Whether a key belongs to a field that somebody writes in. */
export function isTyping({ target, ctrlKey, metaKey, altKey }: KeyboardEvent): boolean {
  if (ctrlKey || metaKey || altKey) return true;
  return target instanceof Element && target.matches("input, textarea, select, [contenteditable]");
}
