/** Why a span is as it is, in the words of the chapter. */
import { useSignal } from "@preact/signals";
import { ask } from "./api.ts";
import { Code } from "./source-lines.tsx";
import type { WireWhy } from "./wire.ts";

/** Closed at first; what there is to say is asked for when it is opened. */
export function Why({ traceId, spanId }: { traceId: string; spanId: string }) {
  const why = useSignal<WireWhy | "nothing" | undefined>(undefined);
  const load = async () => {
    why.value ??= await ask<WireWhy>(`/api/view/why/${traceId}/${spanId}`).catch(
      () => "nothing" as const,
    );
  };
  const found = why.value;
  return (
    <details class="why" onToggle={(event) => event.currentTarget.open && void load()}>
      <summary>Why it is so</summary>
      {found === "nothing" && <p class="faint">Nothing is written about spans of this kind.</p>}
      {found && found !== "nothing" && (
        <>
          <p>
            <b>{found.title}.</b>{" "}
            {found.rule && (
              <a href={found.rule} target="_blank" rel="noreferrer">
                What the conventions say
              </a>
            )}
          </p>
          <dl>
            {found.parts.map(({ question, text, page }) => (
              <div key={question}>
                <dt>{question}</dt>
                <dd>
                  <Prose text={text} /> <span class="faint">{page}</span>
                </dd>
              </div>
            ))}
          </dl>
          {found.layer.map(({ what, source }) => (
            <div key={what} class="source">
              <p>
                <span class="faint">{what}:</span> {source.file}:{source.line}
              </p>
              <Code source={source} />
            </div>
          ))}
        </>
      )}
    </details>
  );
}

/** Text with code between backticks. */
function Prose({ text }: { text: string }) {
  return (
    <>
      {text
        .split("`")
        .map((piece, index) => (index % 2 === 1 ? <code key={index}>{piece}</code> : piece))}
    </>
  );
}
