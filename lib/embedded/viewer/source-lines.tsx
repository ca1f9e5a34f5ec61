/** The source around the line that made a span, and a way to it in an editor. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask } from "./api.ts";
import { attributeOf, textOf, type Span } from "./model.ts";
import { editor, EDITORS } from "./settings.ts";
import type { WireSource } from "./wire.ts";

/** Nothing for a span that names no line; the place alone where the store does not have the file. */
export function SourceLines({ traceId, span }: { traceId: string; span: Span }) {
  const source = useSignal<WireSource | undefined>(undefined);
  const file = attributeOf(span, "code.file.path");
  const line = attributeOf(span, "code.line.number");
  const inFunction = attributeOf(span, "code.function.name");
  useEffect(() => {
    source.value = undefined;
    if (file === undefined) return;
    const asked = new AbortController();
    // Where there is no such file, the place alone is shown.
    ask<WireSource>(`/api/view/source/${traceId}/${span.id}`, asked.signal).then(
      (came) => (source.value = came),
      () => undefined,
    );
    return () => asked.abort();
  }, [traceId, span.id]);
  if (file === undefined) return null;
  const place = line === undefined ? textOf(file) : `${textOf(file)}:${textOf(line)}`;
  const found = source.value;
  const open = EDITORS[editor.value];
  return (
    <section class="source">
      <p>
        <span class="faint">made by</span> <b>{place}</b>
        {inFunction !== undefined && <code> {textOf(inFunction)}</code>}
      </p>
      {found && (
        <>
          <Code source={found} />
          <p class="open">
            {open && (
              <a class="button" href={open(found.path, found.line)} target="_self">
                Open in
              </a>
            )}
            <label>
              <span class="visually-hidden">Editor</span>
              <select
                value={editor.value}
                onChange={(event) => (editor.value = event.currentTarget.value)}
              >
                {Object.keys(EDITORS).map((name) => (
                  <option key={name}>{name}</option>
                ))}
              </select>
            </label>
          </p>
        </>
      )}
    </section>
  );
}

/** A piece of a source file, in colours once these have come. */
export function Code({ source }: { source: WireSource }) {
  const colored = useSignal<readonly Piece[][] | undefined>(undefined);
  useEffect(() => {
    let isGone = false;
    const color = async () => {
      const { highlight } = await import("./highlight.ts");
      if (!isGone) colored.value = highlight(source.lines.join("\n"));
    };
    colored.value = undefined;
    // Without colours it is read as well.
    color().catch(() => undefined);
    return () => {
      isGone = true;
    };
  }, [source]);
  return (
    <pre tabIndex={0} aria-label={`Source of ${source.file}:${source.line}`}>
      {source.lines.map((text, index) => {
        const number = source.first + index;
        const isIt = number === source.line;
        return (
          <div key={number} class={isIt ? "line it" : "line"} aria-current={isIt || undefined}>
            <span class="number">{number}</span>
            <code>
              {colored.value?.[index]?.map((piece, at) => (
                <span key={at} class={piece.kind}>
                  {piece.text}
                </span>
              )) ?? text}
            </code>
          </div>
        );
      })}
    </pre>
  );
}

/** A piece of a line, and what it is: "keyword", say, or "". */
export interface Piece {
  readonly text: string;
  readonly kind: string;
}
