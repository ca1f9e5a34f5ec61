/** A span as OTLP's bytes: choose a field, and its bytes light up. */
import { useSignal } from "@preact/signals";
import { ask } from "./api.ts";
import type { WireBytes, WireField } from "./wire.ts";

const BYTES_PER_LINE = 16;

/** Closed at first: the bytes are asked for when it is opened. */
export function SpanBytes({ traceId, spanId }: { traceId: string; spanId: string }) {
  const bytes = useSignal<WireBytes | undefined>(undefined);
  const chosen = useSignal<WireField | undefined>(undefined);
  const load = async () => {
    bytes.value ??= await ask<WireBytes>(`/api/view/bytes/${traceId}/${spanId}`).catch(
      () => undefined,
    );
  };
  const found = bytes.value;
  return (
    <details class="bytes" onToggle={(event) => event.currentTarget.open && void load()}>
      <summary>OTLP's bytes</summary>
      {found && (
        <>
          <p class="faint">
            {found.length} bytes of protobuf, as this store encodes the span. Choose a field.
          </p>
          <Hex hex={found.hex} field={chosen.value} />
          <ol>
            {found.fields.map((field) => (
              <li key={field.from} style={{ paddingLeft: `${field.depth * 14}px` }}>
                <button
                  type="button"
                  class="plain"
                  aria-pressed={chosen.value === field}
                  onClick={() => (chosen.value = chosen.value === field ? undefined : field)}
                >
                  <span class="faint">{field.number}</span> {field.name}{" "}
                  <span class="faint">{field.type}</span> {field.text}
                </button>
              </li>
            ))}
          </ol>
        </>
      )}
    </details>
  );
}

function Hex({ hex, field }: { hex: string; field: WireField | undefined }) {
  const lines: number[] = [];
  for (let at = 0; at * 2 < hex.length; at += BYTES_PER_LINE) lines.push(at);
  const kindOf = (at: number) => {
    if (!field || at < field.from || at >= field.to) return "";
    return at < field.value ? "lit head" : "lit";
  };
  return (
    <pre class="hex" tabIndex={0} aria-label="Bytes in hexadecimal">
      {lines.map((start) => (
        <div key={start}>
          <span class="faint">{start.toString(16).padStart(4, "0")}</span>
          {Array.from({ length: BYTES_PER_LINE }, (_, i) => {
            const at = start + i;
            const byte = hex.slice(at * 2, at * 2 + 2);
            return byte && <span key={at} class={kindOf(at)}>{` ${byte}`}</span>;
          })}
        </div>
      ))}
    </pre>
  );
}
